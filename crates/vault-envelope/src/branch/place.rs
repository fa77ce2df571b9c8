//! Under which name of the storage a branch's entry lies: `branch/<name>/<version>`, the name in 32
//! hexadecimal digits, the version in ten decimal ones so that later versions come later.

/// The name of a branch, derived from its scope.
pub(super) type Name = [u8; 16];

/// Where all branches lie.
pub(super) const ROOT: &str = "branch/";

/// The name in hexadecimal.
pub(super) fn hex(name: &Name) -> String {
    name.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where all versions of one branch lie.
pub(super) fn folder(name: &Name) -> String {
    format!("{ROOT}{}/", hex(name))
}

/// Where one version lies.
pub(super) fn of(name: &Name, version: u32) -> String {
    format!("{}{version:010}", folder(name))
}

/// The branch and version of a place; `None` for any other key of the storage.
pub(super) fn parse(key: &str) -> Option<(Name, u32)> {
    let (digits, version) = key.strip_prefix(ROOT)?.split_once('/')?;
    let mut name = Name::default();
    for (byte, pair) in name.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let version: u32 = version.parse().ok()?;
    // One place for one branch: no upper case, no sign, no other number of digits, no version 0.
    (version > 0 && of(&name, version) == key).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_one_branch_and_later_versions_come_later() {
        let name = std::array::from_fn(|index| index as u8 * 17);
        for version in [1, 9, 10, u32::MAX] {
            assert_eq!(parse(&of(&name, version)), Some((name, version)));
        }
        assert!(of(&name, 9) < of(&name, 10) && of(&name, 999_999_999) < of(&name, u32::MAX));
        let good = of(&name, 7);
        assert_eq!(good, "branch/00112233445566778899aabbccddeeff/0000000007");
        for bad in [
            good.replace("branch", "other"),
            good.replace("aa", "AA"),
            good.replace("aa", "a"),
            good.replace("aa", "+a"),
            good.replace("0007", "0000"),
            good.replace("00007", "+0007"),
            good.replace("/0000000007", "/7"),
            format!("{good}/x"),
            format!("{good}0"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }
}
