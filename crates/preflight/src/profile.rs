//! `.cfg` files: a binary `DeviceProfile` (`clientonly.proto`).

use mesh::wire::{Content, Field, Fields, WireError};

use crate::channel_link;
use crate::node_config::{Knows, NodeConfig, Raw, Source};
use crate::setting::{Kind, SETTINGS, Setting};

/// Reads a profile. `None` when the bytes are none.
pub(crate) fn read(bytes: &[u8]) -> Option<NodeConfig> {
    let mut config = NodeConfig::new(Source::Profile, Knows::Everything);
    let mut has_any = false;
    for field in Fields::of(bytes) {
        let field = field.ok()?;
        let Content::Bytes(content) = field.content else { continue };
        match field.number {
            1 => config.owner = Some(std::str::from_utf8(content).ok()?.to_owned()),
            3 => {
                if let Err(error) = channel_link::take(&mut config, std::str::from_utf8(content).ok()?) {
                    config.remarks.push(error.to_string());
                }
            }
            number @ (4 | 5) => {
                has_any = true;
                take_sections(&mut config, content, number == 5).ok()?;
            }
            _ => {}
        }
    }
    (has_any || config.channels.is_some()).then_some(config)
}

fn take_sections(config: &mut NodeConfig, bytes: &[u8], is_module: bool) -> Result<(), WireError> {
    for field in Fields::of(bytes) {
        let field = field?;
        let Content::Bytes(section) = field.content else { continue };
        for setting in
            SETTINGS.iter().filter(|s| s.is_module == is_module && s.section_number == field.number)
        {
            take_setting(config, setting, section)?;
        }
    }
    Ok(())
}

fn take_setting(config: &mut NodeConfig, setting: &Setting, section: &[u8]) -> Result<(), WireError> {
    let mut message = section;
    let Some((last, path)) = setting.numbers.split_last() else { return Ok(()) };
    for number in path {
        let inner = Fields::of(message).filter_map(Result::ok).find_map(|field| match field {
            Field { number: found, content: Content::Bytes(bytes), .. } if found == *number => Some(bytes),
            _ => None,
        });
        match inner {
            Some(inner) => message = inner,
            None => return Ok(()),
        }
    }
    if matches!(setting.kind, Kind::Count) {
        let count = Fields::of(message).filter_map(Result::ok).filter(|f| f.number == *last).count();
        config.put(setting, Raw::Count(count));
        return Ok(());
    }
    for field in Fields::of(message) {
        let field = field?;
        if field.number == *last {
            config.put(setting, raw(field.content));
        }
    }
    Ok(())
}

fn raw(content: Content<'_>) -> Raw<'_> {
    match content {
        Content::Varint(value) => Raw::Number(value as i64),
        Content::Fixed32(value) => Raw::Number(i64::from(value)),
        Content::Fixed64(value) => Raw::Number(value as i64),
        // Keys are bytes; that there is something is all that is kept of them.
        Content::Bytes(bytes) => std::str::from_utf8(bytes).map_or(Raw::Number(1), Raw::Text),
    }
}
