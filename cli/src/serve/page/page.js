// The page of `transfer serve`: photographs go to `POST /predict` one after the other, results become cards.
"use strict";

const SHOWN = 5; // classes of a card
const NEAR = 5; // training photographs of a card
const AT_ONCE = 2; // requests
const PICTURE = 320; // pixels of the longer side of a canvas
const LARGEST = 32 * 1024 * 1024; // bytes, as the server allows

const $ = (id) => document.getElementById(id);
let model = null;
let waiting = [];
let running = 0;
let results = [];
let generation = 0; // grows with each "Clear", so that late answers are dropped
let stream = null;

function percent(p) {
  return (100 * p).toFixed(1) + " %";
}

async function loadModel() {
  try {
    const answer = await fetch("/model");
    if (!answer.ok) throw new Error("status " + answer.status);
    model = await answer.json();
  } catch (error) {
    $("about").textContent = "The program does not answer. Is `transfer serve` still running?";
    return;
  }
  const names = model.classes;
  const list = names.slice(0, 12).join(", ") + (names.length > 12 ? " and " + (names.length - 12) + " more" : "");
  const size = model.image_size.width + "×" + model.image_size.height;
  const parts = [names.length + " classes: " + list, "images of " + size + " pixels"];
  if (model.trained_on !== null) parts.push("trained on " + model.trained_on + " photographs");
  $("name").textContent = model.name;
  document.title = model.name;
  $("about").textContent = parts.join(" · ");
  $("problem").textContent = model.problem || "";
  $("problem").hidden = !model.problem;
}

// Photographs: from files, folders, the clipboard and the camera.

function add(files) {
  for (const { name, blob } of files) waiting.push({ name, blob, generation });
  if (files.length > 0) $("tools").hidden = false;
  say();
  next();
}

function addFileList(list) {
  add(Array.from(list, (file) => ({ name: file.webkitRelativePath || file.name, blob: file })));
}

function entryFiles(entry, found) {
  return new Promise((resolve) => {
    if (entry.isFile) {
      entry.file((file) => {
        found.push({ name: entry.fullPath.replace(/^\//, ""), blob: file });
        resolve();
      }, resolve);
    } else if (entry.isDirectory) {
      const reader = entry.createReader();
      const more = () =>
        reader.readEntries(async (entries) => {
          if (entries.length === 0) return resolve();
          for (const inner of entries) await entryFiles(inner, found);
          more();
        }, resolve);
      more();
    } else {
      resolve();
    }
  });
}

async function dropped(transfer) {
  const entries = Array.from(transfer.items || [], (item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
  const known = entries.filter(Boolean);
  if (known.length === 0) return addFileList(transfer.files);
  const found = [];
  for (const entry of known) await entryFiles(entry, found);
  // Of a folder, hidden files are not meant.
  add(found.filter((file) => !file.name.split("/").pop().startsWith(".")));
}

async function startCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
    $("video").srcObject = stream;
    await $("video").play();
    $("live").hidden = false;
    $("frame").focus();
  } catch (error) {
    $("tools").hidden = false;
    $("status").textContent = "The camera cannot be used: " + error.message;
  }
}

function stopCamera() {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null;
  $("video").srcObject = null;
  $("live").hidden = true;
  $("camera").focus();
}

function takeFrame() {
  const video = $("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const time = new Date().toLocaleTimeString();
  canvas.toBlob((blob) => blob && add([{ name: "camera " + time, blob }]), "image/jpeg", 0.92);
}

// Requests.

function next() {
  while (running < AT_ONCE && waiting.length > 0) {
    running += 1;
    const photo = waiting.shift();
    predict(photo).finally(() => {
      running -= 1;
      say();
      next();
    });
  }
}

async function predict(photo) {
  const result = { name: photo.name, error: null, said: null };
  try {
    if (photo.blob.size > LARGEST) throw new Error("the file is longer than 32 MiB");
    const answer = await fetch("/predict?heat_map=1&neighbours=" + NEAR, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: photo.blob,
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    result.said = said;
  } catch (error) {
    result.error = error instanceof TypeError ? "the program does not answer" : error.message;
  }
  if (photo.generation !== generation) return;
  results.push(result);
  if (result.said && model && result.said.model !== model.number) await loadModel();
  await show(photo, result);
}

function say() {
  const failed = results.filter((result) => result.error).length;
  const left = waiting.length + running;
  const parts = [results.length - failed + (results.length - failed === 1 ? " photograph" : " photographs")];
  if (failed > 0) parts.push(failed + " could not be used");
  if (left > 0) parts.push(left + " to come");
  $("status").textContent = parts.join(", ");
}

// Cards.

async function show(photo, result) {
  const card = $("card").content.cloneNode(true);
  const part = (name) => card.querySelector("." + name);
  part("file").textContent = result.name;
  const { said } = result;
  if (!said) {
    part("class").textContent = "not used";
    part("class").classList.add("failed");
    part("reason").textContent = result.error;
    part("pictures").remove();
  } else {
    part("class").textContent = title(said);
    part("class").classList.toggle("unknown", said.unknown);
    part("reason").textContent = said.unknown ? said.reason + "; most probable: " + said.class : "";
    for (const { class: name, probability } of said.probabilities.slice(0, SHOWN)) part("bars").append(bar(name, probability));
    showNear(said.neighbours || [], part("near"));
    await draw(photo.blob, said, part("photo"), part("map"), result.name);
  }
  if (photo.generation === generation) $("results").prepend(card);
}

function title(said) {
  if (said.unknown) return "unknown";
  if (said.labels) return said.labels.map((label) => label.class).join(", ") || "no label";
  return said.class + " " + percent(said.confidence);
}

function bar(name, probability) {
  const row = document.createElement("li");
  const make = (className, text) => {
    const span = document.createElement("span");
    span.className = className;
    span.textContent = text;
    row.append(span);
    return span;
  };
  make("label", name);
  make("percent", percent(probability));
  const fill = document.createElement("span");
  fill.className = "fill";
  fill.style.width = 100 * probability + "%";
  make("track", "").append(fill);
  return row;
}

// The training photographs that look most like this one to the model, if thumbnails of them were kept.
function showNear(neighbours, part) {
  part.hidden = neighbours.length === 0;
  for (const { file, labels, class: name, similarity, thumbnail } of neighbours) {
    const row = document.createElement("li");
    const image = document.createElement("img");
    image.width = image.height = 64;
    image.src = thumbnail;
    image.alt = image.title = file;
    row.append(image);
    const words = [["label", name === undefined ? labels.join(", ") || "no label" : name], ["similarity", similarity.toFixed(3)]];
    for (const [className, text] of words) {
      const span = document.createElement("span");
      span.className = className;
      span.textContent = text;
      row.append(span);
    }
    part.querySelector("ol").append(row);
  }
}

// The photograph as the model sees it: stretched, cropped or padded to the aspect ratio of its images.
async function draw(blob, said, photo, map, name) {
  const { width, height } = model.image_size;
  const scale = PICTURE / Math.max(width, height);
  for (const canvas of [photo, map]) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  photo.setAttribute("aria-label", "Photograph " + name);
  map.setAttribute("aria-label", "Heat map: what speaks for " + said.class);
  let picture = null;
  try {
    picture = await createImageBitmap(blob);
  } catch (error) {
    // Browsers show no tiff; the model has seen it all the same.
  }
  for (const canvas of [photo, map]) {
    const context = canvas.getContext("2d");
    if (picture) drawToFit(context, picture, canvas.width, canvas.height);
    else drawNothing(context, canvas.width, canvas.height);
  }
  if (picture) picture.close();
  if (said.heat_map) drawHeat(map.getContext("2d"), said.heat_map, map.width, map.height);
}

function drawToFit(context, picture, width, height) {
  const ratios = [width / picture.width, height / picture.height];
  let [across, down] = ratios;
  if (model.fit === "crop") across = down = Math.max(...ratios);
  if (model.fit === "pad") across = down = Math.min(...ratios);
  context.fillStyle = "#7f7f7f";
  context.fillRect(0, 0, width, height);
  const [w, h] = [picture.width * across, picture.height * down];
  context.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
}

function drawNothing(context, width, height) {
  context.fillStyle = "#7f7f7f";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#ffffff";
  context.font = "16px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText("no preview of this format", width / 2, height / 2);
}

// Cells that speak for the class, from clear to red, over the photograph.
function drawHeat(context, heat, width, height) {
  const most = Math.max(...heat.cells, 1e-9);
  const cells = document.createElement("canvas");
  cells.width = heat.width;
  cells.height = heat.height;
  const small = cells.getContext("2d");
  const pixels = small.createImageData(heat.width, heat.height);
  heat.cells.forEach((cell, i) => {
    const strength = Math.max(cell, 0) / most;
    pixels.data.set([255, Math.round(200 * (1 - strength)), 0, Math.round(180 * strength)], 4 * i);
  });
  small.putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(cells, 0, 0, width, height);
}

// CSV, with the columns of `transfer predict --format csv`; no cell is a formula for a spreadsheet.

function cell(value) {
  let text = String(value);
  if (/^[=+\-@\t\r]/.test(text)) text = "'" + text;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function csv() {
  const several = model && model.several_labels;
  const head = several
    ? ["file", "labels", "probabilities", "error"]
    : ["file", "class", "confidence", "best_class", "reason", "error"];
  const row = ({ name, said, error }) => {
    if (!said) return [name, ...head.slice(2).map(() => ""), error];
    if (said.labels) {
      const labels = said.labels.map((label) => label.class).join(";") || ";";
      return [name, labels, said.labels.map((label) => label.probability).join(";"), ""];
    }
    return [name, said.unknown ? "unknown" : said.class, said.confidence, said.class, said.reason || "", ""];
  };
  return [head, ...results.map(row)].map((cells) => cells.map(cell).join(",") + "\n").join("");
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function clear() {
  generation += 1;
  waiting = [];
  results = [];
  $("results").replaceChildren();
  $("tools").hidden = true;
  $("choose").focus();
}

$("choose").addEventListener("click", () => $("files").click());
$("choose-folder").addEventListener("click", () => $("folder").click());
for (const id of ["files", "folder"]) {
  $(id).addEventListener("change", () => {
    addFileList($(id).files);
    $(id).value = "";
  });
}
$("camera").addEventListener("click", startCamera);
$("stop").addEventListener("click", stopCamera);
$("frame").addEventListener("click", takeFrame);
$("csv").addEventListener("click", download);
$("clear").addEventListener("click", clear);
$("heat").addEventListener("change", () => document.body.classList.toggle("no-heat", !$("heat").checked));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  dropped(event.dataTransfer);
});
document.addEventListener("paste", (event) => addFileList(event.clipboardData.files));
loadModel();
