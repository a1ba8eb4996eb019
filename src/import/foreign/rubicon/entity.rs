//! What rubicon-ml keeps in a folder with a `metadata.json`: a project, an experiment, or a part of one.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::tree::{self, Is, Name};
use super::super::{Out, json};
use super::edits::{self, Outcome};
use super::value;
use crate::model::Micros;

pub const META: &str = "metadata.json";

/// A folder with a `metadata.json`.
#[derive(Debug, Clone, Default)]
pub struct Entity {
    /// The folder.
    pub dir: PathBuf,
    /// Name of the folder: a slug of its name, or its id.
    pub folder: String,
    /// What the file says and no other field here.
    pub rest: Map<String, Value>,
    pub name: Option<String>,
    pub id: Option<String>,
    pub description: Option<String>,
    pub created: Option<Micros>,
    pub tags: Outcome,
    pub comments: Outcome,
}

/// The object in the `metadata.json` of a folder.
pub fn object(dir: &Path) -> Result<Map<String, Value>, String> {
    match json::parse(&tree::text(&dir.join(META)).map_err(|e| e.to_string())?)? {
        Value::Object(object) => Ok(object),
        _ => Err("it is no object".to_string()),
    }
}

/// Reads a folder; what cannot be is told as skipped.
pub fn read(dir: &Path, out: &mut Out<'_>) -> Option<Entity> {
    let path = dir.join(META);
    let mut rest = match object(dir) {
        Ok(object) => object,
        Err(e) => {
            out.skip(path.display(), e);
            return None;
        }
    };
    let mut entity = Entity {
        dir: dir.to_path_buf(),
        folder: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        ..Entity::default()
    };
    // What has another type than it should stays in `rest`, and so in the store.
    let mut text = |key: &str| -> Option<String> {
        let found = json::as_text(rest.get(key)?)?.to_string();
        rest.remove(key);
        Some(found)
    };
    entity.name = text("name");
    entity.id = text("id");
    entity.description = text("description");
    entity.created = rest.get("created_at").and_then(value::time_of);
    match rest.get("created_at") {
        Some(Value::Null) | None => {}
        Some(other) if entity.created.is_none() => {
            out.skip(path.display(), format!("created_at {} is no time", shortened(&json::render(other))));
        }
        Some(_) => drop(rest.remove("created_at")),
    }
    let mut list = |key: &str| -> Vec<String> {
        let found = rest.get(key).and_then(edits::texts);
        if found.is_some() {
            rest.remove(key);
        }
        found.unwrap_or_default()
    };
    let (tags, comments) = (list("tags"), list("comments"));
    let names = tree::list_or_skip(dir, out);
    entity.tags = edits::read("tags", dir, &names, tags, out);
    entity.comments = edits::read("comments", dir, &names, comments, out);
    rest.retain(|_, value| !value.is_null());
    entity.rest = rest;
    Some(entity)
}

/// The folders in a folder that have a `metadata.json`, in the order of their names.
pub fn folders(dir: &Path, what: &str, out: &mut Out<'_>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if dir.is_symlink() {
        out.skip(dir.display(), "links are not followed");
        return found;
    }
    for Name { name, is } in tree::list_or_skip(dir, out) {
        let inside = dir.join(&name);
        match is {
            Is::Folder if inside.join(META).exists() => found.push(inside),
            Is::Folder if tree::is_stray(&name) => {}
            Is::Folder => out.skip(inside.display(), format!("the {what} has no {META}")),
            Is::File(_) if tree::is_stray(&name) => {}
            Is::File(_) => out.leave(inside.display(), format!("it is no {what}")),
            Is::Other(why) => out.skip(inside.display(), why),
        }
    }
    found
}

/// All entities in a folder.
pub fn all(dir: &Path, what: &str, out: &mut Out<'_>) -> Vec<Entity> {
    let folders = folders(dir, what, out);
    folders.iter().filter_map(|dir| read(dir, out)).collect()
}

/// The beginning of a text, for messages.
pub fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

impl Entity {
    /// Its name; that of the folder where it has none.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.folder)
    }

    /// Its id; the name of the folder where it has none.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.folder)
    }

    /// Takes a text out of what no other field says.
    pub fn take_text(&mut self, key: &str) -> Option<String> {
        let text = json::as_text(self.rest.get(key)?)?.to_string();
        self.rest.remove(key);
        Some(text)
    }
}
