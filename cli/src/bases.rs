//! `transfer bases`: the registry of networks, which computes nothing.

use std::io::Write;

use serde_json::{json, Value};
use transfer::bases::{Base, Origin};

use crate::args::{Bases, ReportFormat};

pub fn bases(arguments: &Bases) -> crate::Result<()> {
    let mut out = std::io::stdout().lock();
    match arguments.format {
        ReportFormat::Json => {
            let all: Vec<Value> = Base::all().iter().map(json_of).collect();
            writeln!(out, "{}", Value::from(all))?;
        }
        ReportFormat::Text => {
            let wide =
                |of: fn(&Base) -> &str| Base::all().iter().map(|base| of(base).len()).max().unwrap_or(0);
            let (names, titles) = (wide(|base| base.name), wide(|base| base.title));
            writeln!(out, "{:names$}  {:titles$}  images   top-1  params  licence", "name", "network")?;
            for base in Base::all() {
                let top1 = base.top1.map_or("      -".to_owned(), |top1| format!("{top1:5.1} %"));
                let name = if base.name == Base::DEFAULT { "default" } else { "" };
                let line = format!(
                    "{:names$}  {:titles$}  {:4} px {top1}  {:4.1} M  {:12}  {name}",
                    base.name,
                    base.title,
                    base.image_size,
                    parameters(base) as f64 / 1e6,
                    base.licence
                );
                writeln!(out, "{}", line.trim_end())?;
            }
        }
    }
    Ok(())
}

fn parameters(base: &Base) -> usize {
    base.network().variables().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

fn json_of(base: &Base) -> Value {
    let sources = base.sources.iter().map(|source| {
        let (package, address) = match source.from {
            Origin::Package { package, .. } => (Some(package), None),
            Origin::Address(address) => (None, Some(address)),
        };
        json!({
            "file": source.file, "bytes": source.bytes, "sha256": source.sha256, "package": package, "address": address,
        })
    });
    let (scale, offset) = base.network().scaling();
    json!({
        "name": base.name, "network": base.title, "image_size": base.image_size, "top1": base.top1,
        "parameters": parameters(base), "licence": base.licence, "imagenet_classes": base.has_top,
        "scale": scale, "offset": offset, "sources": sources.collect::<Vec<_>>(),
        "default": base.name == Base::DEFAULT,
    })
}
