//! What the columns of a table are taken for, in a line for people.

use super::mapping::{Role, Shape};

/// Picks roles.
type IsRole<'a> = &'a dyn Fn(&Role) -> bool;

/// The roles in a line for people.
pub fn described(names: &[String], roles: &[Role], shape: Shape) -> String {
    let of = |wanted: &dyn Fn(&Role) -> bool| -> Vec<&str> {
        names.iter().zip(roles).filter(|(_, role)| wanted(role)).map(|(name, _)| name.as_str()).collect()
    };
    let mut parts = vec![match shape {
        Shape::Column { .. } => format!("runs by column '{}'", of(&|r| *r == Role::RunId).join("")),
        Shape::File => "each file is a run".to_string(),
        Shape::Row => "each row is a run".to_string(),
    }];
    let groups: [(&str, IsRole<'_>); 11] = [
        ("name", &|r| *r == Role::Name),
        ("experiment", &|r| *r == Role::Experiment),
        ("status", &|r| *r == Role::Status),
        ("start and end", &|r| matches!(r, Role::Start | Role::End)),
        ("step", &|r| *r == Role::Step),
        ("time", &|r| *r == Role::Time),
        ("params", &|r| matches!(r, Role::Param(_))),
        ("metrics", &|r| matches!(r, Role::Metric(_))),
        ("tags", &|r| matches!(r, Role::Tag(_))),
        ("text (a param where it is the same all through a run)", &|r| matches!(r, Role::Text(_))),
        ("not imported", &|r| *r == Role::Unused),
    ];
    for (what, is_it) in groups {
        let mut found = of(is_it);
        let more = found.len().saturating_sub(12);
        found.truncate(12);
        if !found.is_empty() {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            parts.push(format!("{what}: {}{more}", found.join(", ")));
        }
    }
    parts.join("; ")
}
