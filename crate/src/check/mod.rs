//! temp
mod fingerprint;
mod scan;

/// temp
pub fn dump(dir: &str) -> crate::Result<()> {
    use std::io::Write;
    let t = std::time::Instant::now();
    let options = crate::data::ImageDatasetOptions::default().max_left_out(1.0);
    let sets = crate::data::whole_sets(dir.as_ref(), None, options)?;
    let scan = scan::scan(&sets, true)?;
    println!("{} photographs {:?}", scan.len(), t.elapsed());
    let mut f = std::io::BufWriter::new(std::fs::File::create("/tmp/h1p/features.f32").unwrap());
    for v in &scan.features { f.write_all(&v.to_le_bytes()).unwrap(); }
    let mut f = std::io::BufWriter::new(std::fs::File::create("/tmp/h1p/thumbs.u8").unwrap());
    let mut g = std::io::BufWriter::new(std::fs::File::create("/tmp/h1p/paths.txt").unwrap());
    for p in &scan.photographs {
        f.write_all(&p.fingerprint[..]).unwrap();
        writeln!(g, "{} {} {} {} {} {}", p.set, p.label, p.width, p.height, p.coloured, p.path.to_str().unwrap()).unwrap();
    }
    Ok(())
}
