"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { classes, names, label, guess, sure, chance, skeletons } = data;
const at = (selector) => document.querySelector(selector);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
const counted = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const repaint = [];  // what is drawn again when light becomes dark

// an element with attributes and children; text is never read as HTML
function make(tag, attributes = {}, ...children) {
  const drawing = ["svg", "path", "line", "text", "circle", "rect", "g"].includes(tag);
  const element = drawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// a canvas of width x height CSS pixels, sharp on every screen
function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return pen;
}

// ---- curves ----
function ticks(low, high, count = 4) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough);
  const found = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + step * 1e-6; x += step) found.push(+x.toPrecision(12));
  return found;
}

function chart(title, curves) {
  const [W, H, left, right, top, bottom] = [400, 220, 46, 10, 8, 26];
  const all = curves.flatMap((curve) => curve.points.filter(([, y]) => Number.isFinite(y)));
  const xs = all.map(([x]) => x), ys = all.map(([, y]) => y);
  const [x0, x1] = [Math.min(0, ...xs), Math.max(1, ...xs)];
  let [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  if (title === "Accuracy") [y0, y1] = [0, 1];
  else y0 = Math.min(0, y0);
  if (y0 === y1) y1 = y0 + 1;
  const X = (x) => left + (x - x0) / (x1 - x0) * (W - left - right);
  const Y = (y) => H - bottom - (y - y0) / (y1 - y0) * (H - top - bottom);
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title });
  for (const y of ticks(y0, y1)) {
    svg.append(make("line", { x1: left, x2: W - right, y1: Y(y), y2: Y(y), stroke: "var(--line)" }));
    const text = title === "Accuracy" ? `${Math.round(100 * y)} %` : String(+y.toPrecision(3));
    svg.append(make("text", { x: left - 6, y: Y(y) + 4, "text-anchor": "end" }, text));
  }
  for (const x of ticks(x0, x1, 3)) svg.append(make("text", { x: X(x), y: H - 8, "text-anchor": "middle" }, x.toLocaleString("en")));
  const caption = make("figcaption", {}, title);
  for (const curve of curves) {
    const points = curve.points.filter(([, y]) => Number.isFinite(y));
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${X(x).toFixed(1)},${Y(y).toFixed(1)}`).join("");
    svg.append(make("path", { d, fill: "none", stroke: curve.colour, "stroke-width": 1.8, "stroke-dasharray": curve.dashed ? "5 3" : "none" }));
    if (points.length === 1) svg.append(make("circle", { cx: X(points[0][0]), cy: Y(points[0][1]), r: 3, fill: curve.colour }));
    if (curves.length > 1) caption.append(make("span", { class: `key${curve.dashed ? " dashed" : ""}`, style: `--of: ${curve.colour}` }, curve.name));
  }
  const line = make("line", { y1: top, y2: H - bottom, stroke: "var(--grey)", visibility: "hidden" });
  const said = make("small", {}, "\u00a0");
  svg.append(line);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = x0 + ((event.clientX - box.left) / box.width * W - left) / (W - left - right) * (x1 - x0);
    const near = curves.map((curve) => curve.points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
    line.setAttribute("x1", X(near[0][0]));
    line.setAttribute("x2", X(near[0][0]));
    line.setAttribute("visibility", "visible");
    said.textContent = `step ${near[0][0].toLocaleString("en")}: ` + near.map(([, y], i) => `${curves.length > 1 ? `${curves[i].name} ` : ""}${title === "Accuracy" ? percent(y, 2) : y.toPrecision(4)}`).join(", ");
  });
  svg.addEventListener("pointerleave", () => { line.setAttribute("visibility", "hidden"); said.textContent = "\u00a0"; });
  return make("figure", {}, caption, svg, said);
}

function drawCurves() {
  const shown = { loss: "Loss", top1: "Accuracy", lr: "Learning rate" };
  for (const [key, title] of Object.entries(shown)) {
    const judged = data.curves[`validation/${key}`]?.length;
    const curves = [["train", "training", "var(--accent)"], ["validation", "validation", "var(--second)"], ["test", "test", judged ? "var(--grey)" : "var(--second)"]]
      .filter(([part]) => data.curves[`${part}/${key}`]?.length)
      .map(([part, name, colour]) => ({ name, colour, dashed: part !== "train", points: data.curves[`${part}/${key}`] }));
    if (curves.length) at("#curves .charts").append(chart(title, curves));
  }
}

// ---- the player ----
function decoded(sample) {
  if (!sample.bytes) sample.bytes = Uint8Array.from(atob(sample.x), (c) => c.charCodeAt(0));
  return sample.bytes;
}

function player(index, weights = null) {
  const sample = skeletons.of[index];
  if (!sample) return null;
  const size = 220, canvas = make("canvas", { width: 2 * size, height: 2 * size });
  const state = make("span", { class: "state" }, "▶ play");
  const box = make("div", { class: "player", tabindex: 0, role: "button", "aria-label": `Play the skeleton of ${names[index]}` }, canvas, state);
  const { parents, sides, up, down, rate } = skeletons;
  const V = parents.length;
  const bytes = decoded(sample), C = skeletons.dims, M = bytes.length / sample.t / V / skeletons.dims;
  const size_of_frame = bytes.length / sample.t, somebody = (t) => bytes.subarray(t * size_of_frame, (t + 1) * size_of_frame).some((x) => x !== 255);
  const middle = Math.floor(sample.t / 2), frames = [...Array(sample.t).keys()].filter(somebody);
  let frame = frames.reduce((a, b) => Math.abs(b - middle) < Math.abs(a - middle) ? b : a), angle = 0, running = 0, began = 0, dragged = 0;
  const [across, depth] = [0, 1, 2].filter((c) => c !== up);

  function draw() {
    const pen = canvas.getContext("2d"), S = 2 * size;
    const colours = ["middle", "left", "right"].map(colour);
    pen.clearRect(0, 0, S, S);
    pen.lineCap = "round";
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    for (let m = M - 1; m >= 0; m--) {
      pen.globalAlpha = m ? 0.5 : 1;
      const points = parents.map((_, v) => {
        const place = ((frame * M + m) * V + v) * skeletons.dims;
        if (bytes[place] === 255) return null;
        const x = bytes[place + across] - 127, y = bytes[place + up] - 127, z = C > 2 ? bytes[place + depth] - 127 : 0;
        return [S / 2 + (x * cos + z * sin) * S / 290, S / 2 + (down ? y : -y) * S / 290];
      });
      parents.forEach((parent, v) => {
        if (parent === v || !points[v] || !points[parent]) return;
        pen.strokeStyle = colours[sides[v]];
        pen.lineWidth = 5;
        pen.beginPath();
        pen.moveTo(...points[v]);
        pen.lineTo(...points[parent]);
        pen.stroke();
      });
      points.forEach((point, v) => {
        if (!point) return;
        pen.fillStyle = colours[sides[v]];
        pen.beginPath();
        pen.arc(...point, weights ? 2 + 4 * Math.min(weights[v] ** 2, 2.5) : 4.5, 0, 7);
        pen.fill();
      });
    }
    box.dataset.frame = frame;
  }
  function tick(now) {
    if (!box.isConnected) { running = 0; return; }
    began ||= now - frame / sample.t * sample.of / rate * 1000;
    const next = Math.floor((now - began) / 1000 * rate / sample.of * sample.t) % sample.t;
    if (next !== frame) { frame = next; draw(); }
    running = requestAnimationFrame(tick);
  }
  function toggle() {
    if (running) cancelAnimationFrame(running);
    began = 0;
    running = running ? 0 : requestAnimationFrame(tick);
    state.textContent = running ? "❚❚" : "▶ play";
  }
  box.addEventListener("click", () => { if (dragged < 5) toggle(); });
  box.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") { event.preventDefault(); toggle(); } });
  box.addEventListener("pointerdown", () => { dragged = 0; });
  box.addEventListener("pointermove", (event) => {
    if (!event.buttons || C < 3) return;
    dragged += Math.abs(event.movementX);
    angle += event.movementX / 80;
    draw();
  });
  repaint.push(draw);
  draw();
  return box;
}

function says(i) {
  const right = label[i] === guess[i];
  return right
    ? `${classes[label[i]]}, ${percent(sure[i] / 1000)}`
    : `${classes[label[i]]} (${percent(chance[i] / 1000)}), taken for ${classes[guess[i]]} (${percent(sure[i] / 1000)})`;
}

function card(i) {
  return make("div", { class: "card" }, player(i) || make("p", { class: "note" }, "no skeleton in this file"),
    make("p", { class: "says" }, says(i)), make("p", { class: "name" }, names[i]));
}

function drawMistakes() {
  if (skeletons.why) {
    at("#why-no-skeletons").hidden = false;
    at("#why-no-skeletons").textContent = `No skeletons can be played: ${skeletons.why}.`;
  }
  for (const kind of ["confident", "worst"]) {
    const place = document.getElementById(kind);
    place.append(...data.mistakes[kind].map(card));
    if (!data.mistakes[kind].length) place.append(make("p", { class: "note" }, "There are no mistakes."));
  }
}

// ---- the confusion matrix ----
const n = classes.length, counts = new Map(), totals = new Int32Array(n);
label.forEach((row, i) => {
  const cell = row * n + guess[i];
  if (!counts.has(cell)) counts.set(cell, []);
  counts.get(cell).push(i);
  totals[row]++;
});
const samplesOf = (row, column) => counts.get(row * n + column) || [];

const matrix = at("#matrix");
const grid = { side: 0, left: 0, top: 0, row: 0, column: 0, chosen: null };

function cut(text, pen, width) {
  if (pen.measureText(text).width <= width) return text;
  const letters = Array.from(text);
  while (letters.length && pen.measureText(letters.join("") + "…").width > width) letters.pop();
  return letters.join("") + "…";
}

function mixed(share) {  // from the panel's colour to the deepest one
  const read = (name) => colour(name).match(/[0-9a-f]{2}/gi).map((x) => parseInt(x, 16));
  const [a, b] = mixed.ends ||= [read("panel"), read("deep")];
  return `rgb(${a.map((x, i) => Math.round(x + (b[i] - x) * share ** 0.6)).join()})`;
}

function drawMatrix() {
  mixed.ends = null;
  const room = Math.min(document.documentElement.clientWidth - 40, 760);
  const measure = matrix.getContext("2d");
  const font = n <= 30 ? 12 : 9;
  measure.font = `${font}px system-ui, sans-serif`;
  const longest = Math.max(...classes.slice(0, 400).map((name) => measure.measureText(name).width));
  const margin = n <= 120 ? Math.min(longest + 8, room * 0.3, 150) : 0;
  grid.side = Math.max(n <= 30 ? 18 : n <= 120 ? 9 : 3, Math.min(44, Math.floor((room - margin) / n)));
  grid.left = grid.top = Math.ceil(margin);
  const S = grid.side, pen = sized(matrix, grid.left + n * S + 1, grid.top + n * S + 1);
  pen.font = `${Math.min(font, S)}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  if (margin) {
    pen.fillStyle = colour("ink");
    for (let k = 0; k < n; k++) {
      const text = cut(classes[k].replace(/\s+/g, " "), pen, margin - 6);
      pen.textAlign = "right";
      pen.fillText(text, grid.left - 5, grid.top + (k + 0.5) * S);
      pen.save();
      pen.translate(grid.left + (k + 0.5) * S, grid.top - 5);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      pen.fillText(text, 0, 0);
      pen.restore();
    }
  }
  pen.fillStyle = colour("panel");
  pen.fillRect(grid.left, grid.top, n * S, n * S);
  pen.textAlign = "center";
  for (const [cell, samples] of counts) {
    const [row, column] = [Math.floor(cell / n), cell % n], share = samples.length / totals[row];
    pen.fillStyle = mixed(share);
    pen.fillRect(grid.left + column * S, grid.top + row * S, S, S);
    if (S >= 26) {
      pen.fillStyle = share > 0.3 ? colour("page") : colour("ink");
      pen.fillText(samples.length, grid.left + (column + 0.5) * S, grid.top + (row + 0.5) * S);
    }
  }
  if (S >= 5) {
    pen.strokeStyle = colour("line");
    pen.lineWidth = S >= 18 ? 1 : 0.4;
    pen.beginPath();
    for (let k = 0; k <= n; k++) {
      pen.moveTo(grid.left + k * S, grid.top);
      pen.lineTo(grid.left + k * S, grid.top + n * S);
      pen.moveTo(grid.left, grid.top + k * S);
      pen.lineTo(grid.left + n * S, grid.top + k * S);
    }
    pen.stroke();
  }
  if (grid.chosen || document.activeElement === matrix) {
    pen.strokeStyle = colour("second");
    pen.lineWidth = 2.5;
    pen.strokeRect(grid.left + grid.column * S, grid.top + grid.row * S, S, S);
  }
}

function hint(row, column) {
  const samples = samplesOf(row, column);
  at("#hint").textContent = `${classes[row]} taken for ${classes[column]}: ${samples.length} of ${totals[row]}`;
}

function openCell(row, column) {
  Object.assign(grid, { row, column, chosen: true });
  drawMatrix();
  const playable = (i) => i in skeletons.of ? 1 : 0;
  const samples = [...samplesOf(row, column)].sort((a, b) => playable(b) - playable(a) || sure[b] - sure[a]);
  const place = at("#cell"), MOST = 100;
  const title = row === column ? `${classes[row]}, correct` : `${classes[row]}, taken for ${classes[column]}`;
  const list = make("ul"), stage = make("div", { class: "stage" });
  const more = make("button", { class: "push", onclick: () => add(MOST) }, "More");
  let shown = 0;
  function add(count) {
    for (const i of samples.slice(shown, shown + count)) {
      const watch = skeletons.of[i]
        ? make("button", { class: "link watch", onclick: () => { const p = player(i); stage.replaceChildren(p, make("p", { class: "name" }, names[i])); p.click(); } }, "▶ play")
        : null;
      list.append(make("li", {}, make("span", {}, names[i]), make("span", { class: "number" }, `${percent(sure[i] / 1000)} `, watch)));
    }
    shown += count;
    more.hidden = shown >= samples.length;
  }
  add(MOST);
  place.replaceChildren(make("h3", {}, `${title}: ${counted(samples.length, "sample", "samples")}`), stage, list, more);
}

function cellAt(event) {
  const box = matrix.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - grid.left) / grid.side);
  const row = Math.floor((event.clientY - box.top - grid.top) / grid.side);
  return row >= 0 && column >= 0 && row < n && column < n ? [row, column] : null;
}

function drawConfusion() {
  drawMatrix();
  repaint.push(drawMatrix);
  matrix.addEventListener("click", (event) => { const cell = cellAt(event); if (cell) openCell(...cell); });
  matrix.addEventListener("pointermove", (event) => { const cell = cellAt(event); if (cell) hint(...cell); });
  matrix.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Enter") openCell(grid.row, grid.column);
    if (!move) return;
    event.preventDefault();
    grid.row = Math.min(n - 1, Math.max(0, grid.row + move[0]));
    grid.column = Math.min(n - 1, Math.max(0, grid.column + move[1]));
    hint(grid.row, grid.column);
    drawMatrix();
  });
  matrix.addEventListener("focus", drawMatrix);
  for (const button of document.querySelectorAll("#classes .link")) {
    button.addEventListener("click", () => {
      openCell(+button.dataset.label, +button.dataset.guess);
      at("#confusion").scrollIntoView();
    });
  }
}

// ---- the table of classes ----
function sortTable() {
  const heads = [...document.querySelectorAll("#classes th")], body = at("#classes tbody");
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => +row.children[column].dataset.key;
    body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * (key(a) - key(b))));
  }));
}

// ---- the last features ----
function drawFeatures() {
  const { index, xy, by, why } = data.embedding, canvas = at("#plane"), only = at("#only");
  if (why) { at("#by").textContent = `No picture of features: ${why}.`; return; }
  at("#by").textContent = `What the classifier sees of ${counted(index.length, "test sample", "test samples")} in a plane (${by}). Distances between far groups mean little.`;
  canvas.hidden = at("#tools").hidden = false;
  [...new Set(index.map((i) => label[i]))].sort((a, b) => a - b)
    .forEach((k) => only.append(make("option", { value: k }, classes[k])));
  const shade = (k) => `hsl(${(k * 137.5) % 360} 65% ${matchMedia("(prefers-color-scheme: dark)").matches ? 65 : 42}%)`;
  let side;
  const place = ([x, y]) => [10 + x / 1000 * (side - 20), 10 + y / 1000 * (side - 20)];
  function draw() {
    side = Math.min(document.documentElement.clientWidth - 40, 560);
    const pen = sized(canvas, side, side), wanted = only.value;
    pen.fillStyle = colour("panel");
    pen.fillRect(0, 0, side, side);
    index.forEach((i, k) => {
      const chosen = wanted === "" || +wanted === label[i];
      pen.globalAlpha = chosen ? 0.9 : 0.12;
      pen.fillStyle = pen.strokeStyle = shade(label[i]);
      pen.beginPath();
      pen.arc(...place(xy[k]), label[i] === guess[i] ? 2.6 : 3.6, 0, 7);
      if (label[i] === guess[i]) pen.fill();
      else { pen.lineWidth = 1.6; pen.stroke(); }
    });
  }
  draw();
  repaint.push(draw);
  only.addEventListener("change", draw);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = xy.map((point, k) => {
      const [px, py] = place(point);
      return only.value === "" || +only.value === label[index[k]] ? Math.hypot(px - x, py - y) : Infinity;
    });
    const nearest = far.indexOf(Math.min(...far));
    if (far[nearest] < 20) at("#point").replaceChildren(card(index[nearest]));
  });
}

// ---- attention ----
function heatmap(one, select) {
  const canvas = make("canvas", { class: "map", role: "img", "aria-label": `Attention between ${one.kind} in ${names[one.sample]}` });
  const said = make("small", {}, "\u00a0"), S = 220;
  const called = (k, side) => one.kind === "joints" && skeletons.joints ? skeletons.joints[k]
    : `${one.kind.slice(0, -1)} ${one.kind === "frames" ? Math.round(k * one.received.length / side) : k}`;
  function draw() {
    const map = one.blocks[select.value], x = decoded(map), { side } = map;
    const small = make("canvas", { width: side, height: side }), pen = small.getContext("2d"), picture = pen.createImageData(side, side);
    mixed.ends = null;
    x.forEach((value, k) => picture.data.set([...mixed(value / 255).match(/\d+/g).map(Number), 255], 4 * k));
    pen.putImageData(picture, 0, 0);
    const large = sized(canvas, S, S);
    large.imageSmoothingEnabled = false;
    large.drawImage(small, 0, 0, S, S);
  }
  canvas.addEventListener("pointermove", (event) => {
    const map = one.blocks[select.value], box = canvas.getBoundingClientRect(), { side } = map;
    const place = (offset, size) => Math.max(0, Math.min(side - 1, Math.floor(offset / size * side)));
    const [row, column] = [place(event.clientY - box.top, box.height), place(event.clientX - box.left, box.width)];
    said.textContent = `${called(row, side)} → ${called(column, side)}: ${(map.least + decoded(map)[row * side + column] / 255 * (map.most - map.least)).toFixed(2)}`;
  });
  canvas.addEventListener("pointerleave", () => { said.textContent = "\u00a0"; });
  select.addEventListener("change", draw);
  repaint.push(draw);
  draw();
  return [canvas, said];
}

function drawAttention() {
  const gain = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(3)}`;
  for (const one of data.attention) {
    const blocks = Object.keys(one.blocks);
    const select = make("select", { "aria-label": "Block" }, ...blocks.map((name) => make("option", { value: name }, name)));
    select.value = blocks[blocks.length - 1];
    at("#attention .cards").append(make("div", { class: "card" },
      ...(one.kind === "joints" ? [player(one.sample, one.received)] : []),
      make("p", { class: "says" }, `${one.kind} `, select), ...heatmap(one, select),
      make("p", { class: "says" }, `deletion ${gain(one.deletion_gain)}, insertion ${gain(one.insertion_gain)}`),
      make("p", { class: "says" }, says(one.sample)), make("p", { class: "name" }, names[one.sample])));
  }
}

// each section is drawn when it comes near the screen
function whenNear(selector, draw) {
  const section = at(selector);
  if (!section) return;
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); draw(); }
  }, { rootMargin: "400px" }).observe(section);
}
sortTable();
whenNear("#curves", drawCurves);
whenNear("#confusion", drawConfusion);
whenNear("#mistakes", drawMistakes);
whenNear("#features", drawFeatures);
whenNear("#attention", drawAttention);
const again = () => repaint.forEach((draw) => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; again(); } });
addEventListener("beforeprint", again);
