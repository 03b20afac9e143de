// The photographs behind a number of the confusion matrix, and the map. The numbers are in the page already.
"use strict";
(() => {
  const MOST = 200; // photographs shown at a time
  const { classes, several, thumbnails, columns, photographs } = JSON.parse(document.getElementById("photographs").textContent);
  const rows = photographs.map(([file, actual, predicted, confidence, loss, at], number) => ({
    file, actual, predicted, confidence, loss, at, number,
  }));

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function named(labels) {
    return labels.length ? labels.map((label) => classes[label]).join(", ") : "no label";
  }

  function described(row) {
    const text = element("span");
    text.append(element("span", "file", row.file), element("br"));
    if (several) {
      text.append(named(row.predicted));
      if (String(row.actual) !== String(row.predicted)) text.append(", is ", element("b", "", named(row.actual)));
      return text;
    }
    text.append(classes[row.predicted] + " " + (100 * row.confidence).toFixed(1) + " %");
    if (row.actual !== row.predicted) text.append(", is ", element("b", "", classes[row.actual]));
    return text;
  }

  function thumb(row) {
    const picture = element("span", "thumb");
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", row.file);
    const [x, y] = [row.number % columns, Math.floor(row.number / columns)];
    picture.style.backgroundPosition = -64 * x + "px " + -64 * y + "px";
    return picture;
  }

  function fill(place, row) {
    if (thumbnails) place.append(thumb(row));
    place.append(described(row));
    return place;
  }

  const chosen = document.getElementById("chosen");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-actual], button[data-label]");
    if (!button) return;
    const { actual, predicted, label, kind } = button.dataset;
    let found, what;
    if (label === undefined) {
      found = rows.filter((row) => row.actual === Number(actual) && row.predicted === Number(predicted));
      what = classes[actual] + " taken for " + classes[predicted];
    } else {
      const [has, lacks] = kind === "missed" ? ["actual", "predicted"] : ["predicted", "actual"];
      found = rows.filter((row) => row[has].includes(Number(label)) && !row[lacks].includes(Number(label)));
      what = classes[label] + ", " + kind;
    }
    const title = element("h3", "", what + ": " + button.textContent);
    const list = element("ul", "files");
    found.slice(0, MOST).forEach((row) => list.append(fill(element("li"), row)));
    chosen.replaceChildren(title);
    const missing = Number(button.textContent) - Math.min(found.length, MOST);
    if (missing > 0) chosen.append(element("p", "", missing + " of them are not shown."));
    chosen.append(list);
    chosen.scrollIntoView({ block: "nearest" });
  });

  const map = document.getElementById("map");
  if (!map) return;
  const points = rows.filter((row) => row.at);
  // Neighbours in the circle of colours differ in lightness, too, where there are many.
  const lightness = (index) => (classes.length > 12 ? [50, 36, 64][index % 3] : 50);
  const colour = (index) => "hsl(" + ((index * 137.5 + 210) % 360) + " 60% " + lightness(index) + "%)";
  const range = (axis) => {
    const values = points.map((row) => row.at[axis]);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return (value) => (most > least ? (value - least) / (most - least) : 0.5);
  };
  const [across, down] = [range(0), range(1)];
  const [WIDTH, HEIGHT] = [1000, 620];
  let view = { x: 0, y: 0, width: WIDTH };

  const legend = document.getElementById("legend");
  classes.forEach((name, index) => {
    const entry = element("span");
    const dot = element("i");
    dot.style.background = colour(index);
    entry.append(dot, name);
    legend.append(entry, " ");
  });

  const circles = points.map((row) => {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    circle.setAttribute("cx", 20 + across(row.at[0]) * (WIDTH - 40));
    circle.setAttribute("cy", HEIGHT - 20 - down(row.at[1]) * (HEIGHT - 40));
    circle.setAttribute("fill", colour(row.actual));
    if (row.actual !== row.predicted) circle.setAttribute("class", "wrong");
    const show = () => document.getElementById("point").replaceChildren(...fill(element("div"), row).childNodes);
    circle.addEventListener("pointerenter", show);
    circle.addEventListener("click", show);
    map.append(circle);
    return circle;
  });

  function draw() {
    const height = (view.width * HEIGHT) / WIDTH;
    map.setAttribute("viewBox", [view.x, view.y, view.width, height].join(" "));
    circles.forEach((circle) => circle.setAttribute("r", 7 * Math.sqrt(view.width / WIDTH)));
  }

  function zoom(factor, x = 0.5, y = 0.5) {
    const width = Math.min(Math.max(view.width * factor, WIDTH / 40), 1.2 * WIDTH);
    const ratio = HEIGHT / WIDTH;
    view.x += x * (view.width - width);
    view.y += y * (view.width - width) * ratio;
    view.width = width;
    draw();
  }

  document.getElementById("closer").addEventListener("click", () => zoom(0.6));
  document.getElementById("wider").addEventListener("click", () => zoom(1 / 0.6));
  document.getElementById("all").addEventListener("click", () => {
    view = { x: 0, y: 0, width: WIDTH };
    draw();
  });
  map.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const box = map.getBoundingClientRect();
    const turned = event.deltaY || event.deltaX;
    zoom(turned < 0 ? 0.8 : 1.25, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }, { passive: false });
  let last = null;
  map.addEventListener("pointerdown", (event) => { last = event; });
  addEventListener("pointerup", () => { last = null; });
  map.addEventListener("pointermove", (event) => {
    if (!last) return;
    const scale = view.width / map.getBoundingClientRect().width;
    view.x -= (event.clientX - last.clientX) * scale;
    view.y -= (event.clientY - last.clientY) * scale;
    last = event;
    draw();
  });
  draw();
})();
