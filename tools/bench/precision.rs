//! In which precision the frozen part computes, and layers that train.

use transfer::network::Backbone;
use transfer::Precision;
use transfer_kernels::Bf16Unit;

use crate::Arguments;

/// Whether the wanted precision is to be had; says why where it is not.
pub fn check(arguments: &Arguments) -> Result<(), String> {
    match arguments.text_or("precision", "f32") {
        "f32" => Ok(()),
        "bf16" | "bf16-all" => Bf16Unit::best().map(|_| ()).map_err(|e| e.to_string()),
        other => Err(format!("expected precision=f32, bf16 or bf16-all. Received: {other}")),
    }
}

/// The base with the wanted precision, which [`check`] has let pass.
pub fn with(mut base: Backbone, arguments: &Arguments) -> transfer::Result<Backbone> {
    let precision = arguments.text_or("precision", "f32");
    if precision != "f32" {
        base.set_precision(Precision::Bf16)?;
    }
    if precision == "bf16-all" {
        base.set_train_precision(Precision::Bf16)?;
    }
    Ok(base)
}
