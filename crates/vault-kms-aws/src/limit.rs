//! A limit to the length of answers: the SDK reads the whole of one before it looks at it.

use aws_sdk_kms::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// Longest answer in bytes; a page of a thousand keys has a fiftieth of it.
const MAX_ANSWER_LEN: usize = 8 * 1_024 * 1_024;

/// Fails a call whose answer is longer.
#[derive(Debug)]
pub(crate) struct ShortAnswers;

impl Intercept for ShortAnswers {
    fn name(&self) -> &'static str {
        "ShortAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        // The connection reads no more than a length that was said.
        if body.content_length().is_some_and(|said| said <= MAX_ANSWER_LEN as u64) {
            return Ok(());
        }
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, MAX_ANSWER_LEN));
        Ok(())
    }
}
