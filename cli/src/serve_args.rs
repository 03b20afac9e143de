//! The arguments of `transfer serve`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

/// Try a model on a page in the browser, and let programs use it over HTTP.
///
/// Opens a page on which photographs are dropped, pasted or taken with the camera, and answers programs:
/// `POST /predict` takes the bytes of one image file and answers in JSON; `/openapi.json` describes the API. Nothing
/// leaves this computer, and no other computer reaches the page, unless `--host` says so. Photographs are kept in memory
/// while they are computed, and nowhere else.
///
/// When the model file is replaced, as by `transfer train`, the new model answers from then on. A new file that cannot
/// be read is named on standard error, and the earlier model goes on answering. Ctrl-C ends the program.
///
/// The page shows the photographs of the training that look most like a photograph to the model, where `transfer train`
/// kept thumbnails of them: MODEL.neighbours.safetensors beside the model.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  transfer serve model.safetensors --open
  transfer serve model.safetensors --port 9000
  curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/predict")]
pub struct Serve {
    /// Model file that `transfer train` wrote
    pub model: PathBuf,
    /// Port to listen on; 0 takes a free one. The address is printed
    #[arg(short, long, value_name = "N", default_value_t = 8000)]
    pub port: u16,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
    /// Address to listen on. Any other than a loopback address lets other computers use the model, without encryption or
    /// password; 0.0.0.0 is every address of this computer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Allow pages of this origin, such as `https://example.org`, to use the API; `*` allows all. May be given several
    /// times. Without it, browsers let no page but the program's own use the API
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub allow_origin: Vec<String>,
    /// Show no photographs of the training, although thumbnails of them lie beside the model
    #[arg(long)]
    pub no_neighbours: bool,
    #[command(flatten)]
    pub features: crate::features::FeaturesFile,
    #[command(flatten)]
    pub computing: crate::device::Computing,
}

fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let plain = |host: &str| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
    };
    match text == "*" || host.is_some_and(plain) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected an origin without a path, such as https://example.org, or *".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_path() {
        for good in ["*", "http://localhost:3000", "https://example.org", "http://[::1]:8000"] {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        for wrong in
            ["", "example.org", "https://", "https://example.org/", "null", "https://a b", "file://x"]
        {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}
