//! Which images are none of the classes, as nodes of an ONNX graph: what `model/trust/novelty.rs` computes.

use super::graph::{Attribute, Graph};
use crate::model::trust::{Nearest, Score, Typicality};

/// Features of images and, where predictions are averaged, of their mirror images behind them: those of the images.
pub(super) fn of_images(graph: &mut Graph, features: &str, width: usize, mirrored: bool) -> String {
    if !mirrored {
        return features.to_owned();
    }
    let two = graph.integers(&format!("{features}/two"), &[2, -1, width as i64]);
    let pairs = graph.node("Reshape", &[features, &two], &format!("{features}_pairs"), &[]);
    let [zero, one] = [0, 1].map(|i| graph.integers(&format!("{features}/place_{i}"), &[i]));
    let first = graph.node("Slice", &[&pairs, &zero, &one, &zero], &format!("{features}_first"), &[]);
    let flat = graph.integers(&format!("{features}/flat"), &[-1, width as i64]);
    graph.node("Reshape", &[&first, &flat], &format!("{features}_of_images"), &[])
}

/// The output `typicality` `(batch, 1)` from logits, features, and the means of the last frozen unit.
pub(super) fn typicality(
    graph: &mut Graph,
    of: &Typicality<'_>,
    (logits, units): (&str, usize),
    features: &str,
    frozen: Option<&str>,
) {
    let rows = [("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(1))];
    let evidence = match units {
        1 => graph.node("Abs", &[logits], "evidence", &[]),
        _ => graph.node("ReduceLogSumExp", &[logits], "evidence", &rows),
    };
    let mut odd = vec![graph.node("Neg", &[&evidence], "little_evidence", &[])];
    odd.push(distance(graph, of.features, features, "distance"));
    if let (Some(nearest), Some(frozen)) = (of.frozen, frozen) {
        odd.push(distance(graph, nearest, frozen, "frozen_distance"));
    }
    let parts: Vec<String> = odd.iter().zip(&of.scores).map(|(odd, score)| part(graph, odd, score)).collect();
    let product = graph.node("Mul", &[&parts[0], &parts[1]], "product", &[]);
    let logarithm = graph.node("Log", &[&product], "logarithm", &[]);
    let together = graph.node("Neg", &[&logarithm], "together", &[]);
    let together = part(graph, &together, &of.together);
    let least: Vec<&str> =
        std::iter::once(together.as_str()).chain(parts.get(2).map(String::as_str)).collect();
    graph.node("Min", &least, "typicality", &[]);
}

/// The square of the distance from the nearest photograph of the training `(batch, 1)`.
fn distance(graph: &mut Graph, nearest: &Nearest, features: &str, name: &str) -> String {
    let rows = [("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(1))];
    let named = |what: &str| format!("{name}/{what}");
    let (mean, components, kept) = nearest.parts();
    let least = graph.floats(&named("least"), &[], &[f32::MIN_POSITIVE]);
    let length = graph.node("ReduceL2", &[features], &named("length"), &rows);
    let length = graph.node("Max", &[&length, &least], &named("positive_length"), &[]);
    let unit = graph.node("Div", &[features, &length], &named("unit"), &[]);
    let mean = graph.floats(&named("mean"), &[mean.len()], &mean.to_vec());
    let centred = graph.node("Sub", &[&unit, &mean], &named("centred"), &[]);
    let transposed: Vec<f32> = components.t().iter().copied().collect();
    let (k, width) = components.dim();
    let components = graph.floats(&named("components"), &[width, k], &transposed);
    let along = graph.node("MatMul", &[&centred, &components], &named("along"), &[]);
    let all = graph.node("ReduceSumSquare", &[&centred], &named("all"), &rows);
    let some = graph.node("ReduceSumSquare", &[&along], &named("some"), &rows);
    let rest = graph.node("Sub", &[&all, &some], &named("difference"), &[]);
    let rest = graph.node("Relu", &[&rest], &named("rest"), &[]);
    let own = graph.node("Add", &[&some, &rest], &named("own"), &[]);
    // |a - b|² = |a|² + |b|² - 2ab, with what the components leave out.
    let places = kept.slice(ndarray::s![.., ..k]);
    let twice: Vec<f32> = places.t().iter().map(|x| -2.0 * x).collect();
    let twice = graph.floats(&named("minus_twice_kept"), &[k, kept.nrows()], &twice);
    let theirs: Vec<f32> =
        kept.rows().into_iter().map(|row| row.iter().take(k).map(|x| x * x).sum::<f32>() + row[k]).collect();
    let theirs = graph.floats(&named("squares"), &[theirs.len()], &theirs);
    let crossed = graph.node("MatMul", &[&along, &twice], &named("crossed"), &[]);
    let to_each = graph.node("Add", &[&crossed, &theirs], &named("relative"), &[]);
    let to_each = graph.node("Add", &[&to_each, &own], &named("to_each"), &[]);
    graph.node("ReduceMin", &[&to_each], name, &rows)
}

/// The part of the held-out photographs that are at least as odd, times what the score is worth `(batch, 1)`.
fn part(graph: &mut Graph, odd: &str, score: &Score<'_>) -> String {
    const FLOAT: i64 = 1;
    let named = |what: &str| format!("{odd}/{what}");
    let n = score.known.len();
    let known = graph.floats(&named("known"), &[n], score.known);
    let less = graph.node("Less", &[&known, odd], &named("is_less"), &[]);
    let less = graph.node("Cast", &[&less], &named("less"), &[("to", Attribute::Int(FLOAT))]);
    let ones = graph.floats(&named("ones"), &[n, 1], &vec![1.0; n]);
    let count = graph.node("MatMul", &[&less, &ones], &named("count"), &[]);
    let all = graph.floats(&named("one_more"), &[], &[(n + 1) as f32]);
    let rest = graph.node("Sub", &[&all, &count], &named("at_least"), &[]);
    let worth = graph.floats(&named("worth"), &[], &[score.weight / (n + 1) as f32]);
    let part = graph.node("Mul", &[&rest, &worth], &named("part"), &[]);
    let Some((last, excess)) = score.tail else { return part };
    let last = graph.floats(&named("last"), &[], &[last]);
    let above = graph.node("Sub", &[odd, &last], &named("above"), &[]);
    let above = graph.node("Relu", &[&above], &named("beyond"), &[]);
    let scale = graph.floats(&named("scale"), &[], &[(-1.0 / excess) as f32]);
    let exponent = graph.node("Mul", &[&above, &scale], &named("exponent"), &[]);
    let rarer = graph.node("Exp", &[&exponent], &named("rarer"), &[]);
    graph.node("Mul", &[&part, &rarer], &named("weighed"), &[])
}
