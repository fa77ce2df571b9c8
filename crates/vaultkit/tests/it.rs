//! The facade's tests: its examples run, and URIs open what they name.

#[cfg(all(feature = "local", feature = "admin"))]
#[path = "../examples/first_minute.rs"]
mod first_minute;

#[cfg(feature = "local")]
#[path = "../examples/database_field.rs"]
mod database_field;

#[cfg(all(feature = "local", feature = "postgres"))]
#[path = "../examples/field_in_postgres.rs"]
mod field_in_postgres;

#[cfg(all(feature = "local", feature = "admin", feature = "postgres"))]
#[path = "../examples/fleet_with_branch_keys.rs"]
mod fleet_with_branch_keys;

#[cfg(feature = "local")]
#[path = "../examples/large_object.rs"]
mod large_object;

#[cfg(all(feature = "local", feature = "object-store"))]
#[path = "../examples/object_store.rs"]
mod object_store_example;

#[cfg(all(
    feature = "admin",
    feature = "aws",
    feature = "azure",
    feature = "gcp",
    feature = "hashicorp"
))]
#[cfg(test)]
#[path = "it/clouds.rs"]
mod clouds;

#[cfg(feature = "local")]
#[path = "it/connect.rs"]
mod connect;

#[cfg(all(feature = "local", feature = "admin", feature = "config"))]
#[cfg(test)]
#[path = "it/config.rs"]
mod config;

#[cfg(feature = "config")]
#[cfg(test)]
#[path = "it/config_bad_input.rs"]
mod config_bad_input;

#[cfg(all(feature = "aws", feature = "azure", feature = "gcp", feature = "hashicorp"))]
#[cfg(test)]
#[path = "it/options.rs"]
mod options;

#[cfg(all(feature = "local", feature = "admin", feature = "manager"))]
#[path = "it/origin.rs"]
mod origin;

#[cfg(all(feature = "local", feature = "admin"))]
#[test]
fn journey_1_the_first_minute() {
    first_minute::main().unwrap();
}

#[cfg(feature = "local")]
#[test]
fn journey_2_a_field_in_a_database() {
    database_field::main().unwrap();
}

#[cfg(all(feature = "local", feature = "postgres"))]
#[test]
fn journey_2_a_field_in_postgresql() {
    field_in_postgres::run(&vault_testkit::servers::Postgres::shared().url()).unwrap();
}

#[cfg(all(feature = "local", feature = "admin", feature = "postgres"))]
#[test]
fn a_fleet_with_branch_keys() {
    fleet_with_branch_keys::run(&vault_testkit::servers::Postgres::shared().url()).unwrap();
}

#[cfg(feature = "local")]
#[test]
fn journey_3_a_large_object() {
    large_object::main().unwrap();
}

#[cfg(all(feature = "local", feature = "object-store"))]
#[test]
fn journey_3_an_object_in_a_store() {
    object_store_example::main().unwrap();
}
