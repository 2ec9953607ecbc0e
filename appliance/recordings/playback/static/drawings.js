// The drawings on the slides of a recording, each at its time: until BigBlueButton 2.5 in shapes.svg,
// from 2.6 on as data of tldraw 1 or 2 in tldraw.json, whose shapes are drawn here in a plain way.
// Nothing of either file becomes markup: elements, attributes and values are those named below.
// Source: BigBlueButton, record-and-playback/presentation/scripts/publish/presentation.rb.

const SVG = "http://www.w3.org/2000/svg";
const XLINK = "http://www.w3.org/1999/xlink";
const MOST = 50000; // versions of shapes, and points of a shape
const FORMS = {
  path: ["d"], line: ["x1", "y1", "x2", "y2"], polyline: ["points"], polygon: ["points"],
  circle: ["cx", "cy", "r"], ellipse: ["cx", "cy", "rx", "ry"], rect: ["x", "y", "width", "height"],
};
const STYLES = {
  stroke: /^(#[\da-f]{3,8}|none)$/i, fill: /^(#[\da-f]{3,8}|none)$/i, "stroke-width": /^[\d.]+(px)?$/,
  "stroke-linecap": /^[a-z]+$/, "stroke-linejoin": /^[a-z]+$/, "stroke-miterlimit": /^[\d.]+$/,
};
const COLORS = {
  black: "#1d1d1d", white: "#ffffff", gray: "#9fa8b2", grey: "#9fa8b2", lightgray: "#c6cbd1", green: "#0f9d6b",
  "light-green": "#4cb05e", cyan: "#0e98ad", blue: "#3b63f0", "light-blue": "#4dabf7", indigo: "#4f46a5",
  violet: "#a03fd0", "light-violet": "#dd7fef", red: "#e03131", "light-red": "#f87777", orange: "#e8690b",
  yellow: "#f1b211",
};
const WIDTHS = {small: 2.5, medium: 4, large: 6, s: 2.5, m: 4, l: 6, xl: 11};
const FONTS = {small: 28, medium: 48, large: 96, s: 18, m: 24, l: 36, xl: 44};

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function number(value) {
  const found = Number.parseFloat(value);
  return Math.abs(found) < 1e5 ? found : 0;
}

const pair = (one) => Array.isArray(one) ? [number(one[0]), number(one[1])] : [number(one?.x), number(one?.y)];
const string = (value) => typeof value === "string" ? value.slice(0, 10000) : "";

function textBox([x, y, width, height], text, style) {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  Object.assign(paragraph.style, style);
  return draw("foreignObject", {x, y, width, height, class: "drawn"}, paragraph);
}

// --- shapes.svg ------------------------------------------------------------------------------------

function drawShape(group, own) {
  const pairs = (group.getAttribute("data-style") || "").split(";").map((one) => one.split(":"));
  const style = Object.fromEntries(pairs.map(([name, value]) => [name.trim(), (value || "").trim()]));
  const drawn = draw("g", Object.fromEntries(Object.entries(style).filter(([name, value]) => STYLES[name]?.test(value))));
  for (const child of group.children) {
    const value = (name) => child.getAttribute(name) || "";
    const names = FORMS[child.localName];
    if (names?.every((name) => /^[\s\w.,+-]*$/.test(value(name)))) {
      drawn.append(draw(child.localName, Object.fromEntries(names.map((name) => [name, value(name)]))));
    }
    const box = ["x", "y", "width", "height"].map((name) => number(child.getAttribute(name)));
    if (child.localName === "image") { // the result of a poll
      const href = own(child.getAttributeNS(XLINK, "href") || value("href") || "//");
      if (href) drawn.append(draw("image", {href, x: box[0], y: box[1], width: box[2], height: box[3]}));
    }
    const written = child.localName === "switch" && child.firstElementChild;
    if (written) {
      const lines = [...written.firstElementChild?.childNodes ?? []];
      const text = lines.map((one) => one.localName === "br" ? "\n" : one.textContent).join("");
      const frame = ["x", "y", "width", "height"].map((name) => number(written.getAttribute(name)));
      drawn.append(textBox(frame, string(text), {color: style.color, fontSize: style["font-size"]}));
    }
  }
  return drawn;
}

// --- tldraw.json -----------------------------------------------------------------------------------

const pathOf = (points) => points.slice(0, MOST).map((one, index) => `${index ? "L" : "M"}${pair(one).join(" ")}`).join("");

function outline(form, w, h) {
  if (form === "ellipse" || form === "oval") return `M0 ${h / 2}a${w / 2} ${h / 2} 0 1 1 ${w} 0a${w / 2} ${h / 2} 0 1 1 ${-w} 0Z`;
  if (form === "triangle") return `M${w / 2} 0L${w} ${h}L0 ${h}Z`;
  if (form === "diamond") return `M${w / 2} 0L${w} ${h / 2}L${w / 2} ${h}L0 ${h / 2}Z`;
  return `M0 0H${w}V${h}H0Z`;
}

/** Return the path of an arrow or a line from one point to another, through `middle`. */
function arrowPath(from, to, middle, heads) {
  const control = [0, 1].map((axis) => 2 * middle[axis] - (from[axis] + to[axis]) / 2);
  const head = (end) => {
    const angle = Math.atan2(end[1] - control[1], end[0] - control[0]);
    const barb = (turn) => [end[0] - 18 * Math.cos(angle + turn), end[1] - 18 * Math.sin(angle + turn)];
    return pathOf([barb(0.5), end, barb(-0.5)]);
  };
  const curve = `M${from.join(" ")}Q${control.join(" ")} ${to.join(" ")}`;
  return curve + (heads[0] ? head(from) : "") + (heads[1] ? head(to) : "");
}

/** Return an end of an arrow of tldraw 2, which may be bound to another shape. */
function arrowEnd(end, shape, find) {
  const other = end?.type === "binding" ? find(end.boundShapeId) : null;
  if (!other) return pair(end);
  const anchor = pair(end.normalizedAnchor);
  return [other.x - shape.x + anchor[0] * (other.props?.w ?? 0), other.y - shape.y + anchor[1] * (other.props?.h ?? 0)].map(number);
}

function arrowOf(shape, props, find) {
  const {handles, decorations} = shape;
  if (handles) {
    const [from, to, middle] = ["start", "end", "bend"].map((name) => pair(handles[name]?.point));
    return arrowPath(from, to, handles.bend ? middle : [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], [decorations?.start, decorations?.end]);
  }
  const [from, to] = [props.start, props.end].map((end) => arrowEnd(end, shape, find));
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const bend = number(props.bend) / (Math.hypot(dx, dy) || 1);
  const middle = [(from[0] + to[0]) / 2 - dy * bend, (from[1] + to[1]) / 2 + dx * bend];
  return arrowPath(from, to, middle, [props.arrowheadStart, props.arrowheadEnd].map((one) => one && one !== "none"));
}

function linesOf(shape, props) {
  if (shape.points) return [shape.points];
  if (props.segments) return [props.segments.flatMap((one) => one.points ?? [])];
  return [Object.values(props.points ?? props.handles ?? {}).sort((one, other) => one.index < other.index ? -1 : 1)];
}

function pollText(props) {
  const answers = typeof props.answers === "string" ? JSON.parse(props.answers) : props.answers ?? [];
  return [props.questionText ?? props.question, ...answers.map((one) => `${one.key}: ${one.numVotes}`)].map(string).join("\n").trim();
}

/** Draw a shape of tldraw; `find` returns another one of the slide. */
function drawTldraw(shape, find) {
  const props = shape.props ?? {}, style = shape.style ?? props, type = String(shape.type);
  const color = COLORS[String(style.color).toLowerCase()] ?? COLORS.black;
  const filled = style.isFilled || ["solid", "pattern"].includes(style.fill);
  const isPen = type === "draw" || type === "highlight";
  const lines = isPen || type === "line" && !shape.handles ? linesOf(shape, props) : [];
  const [w, h] = shape.radius ? pair(shape.radius).map((one) => 2 * one) : pair(shape.size ?? [props.w, props.h]);
  // tldraw 1 turns a shape around its middle, tldraw 2 around its corner.
  const corners = shape.point ? [[0, 0], [w, h], ...(lines[0] ?? [])].map(pair) : [[0, 0]];
  const [cx, cy] = [0, 1].map((axis) => {
    const all = corners.map((one) => one[axis]);
    return all.reduce((one, other) => Math.max(one, other)) / 2;
  });
  const group = draw("g", {
    transform: `translate(${pair(shape.point ?? shape).join(" ")}) rotate(${number(shape.rotation) * 180 / Math.PI} ${cx} ${cy})`,
    stroke: color, "stroke-width": WIDTHS[style.size] ?? 4, "stroke-linecap": "round", "stroke-linejoin": "round",
    fill: filled ? color : "none", "fill-opacity": 0.25, opacity: number(shape.opacity ?? 1),
  });
  const write = (text, box, size, align) => {
    if (text) group.append(textBox(box, text, {color, fontSize: `${size}px`, textAlign: align}));
  };
  const font = (FONTS[style.size] ?? 24) * (number(style.scale ?? 1) || 1);
  const label = string(shape.label ?? shape.text ?? props.text);
  if (lines.length) {
    const pen = type === "highlight" ? {"stroke-width": 30, opacity: 0.4} : {};
    group.append(...lines.map((points) => draw("path", {d: pathOf(points), ...pen})));
  } else if (type === "arrow" || type === "line") {
    group.append(draw("path", {d: arrowOf(shape, props, find), fill: "none"}));
  } else if (["rectangle", "ellipse", "triangle", "geo"].includes(type)) {
    group.append(draw("path", {d: outline(type === "geo" ? props.geo : type, w, h)}));
    write(label, [0, h / 2 - font, w, h], font, "center");
  } else if (type === "text") {
    write(label, [0, 0, props.autoSize === false ? w : 4000, 4000], font, "left");
  } else if (type === "sticky" || type === "note") {
    const [width, height] = [w || 200, h || 200];
    group.append(draw("path", {d: outline("rectangle", width, height), fill: "#fdf3c3", "fill-opacity": 1, stroke: "none"}));
    group.append(textBox([12, 12, width - 24, height - 24], label, {color: COLORS.black, fontSize: "20px"}));
  } else if (type === "poll") {
    group.append(draw("path", {d: outline("rectangle", w, h), fill: "#ffffff", "fill-opacity": 1, stroke: COLORS.black}));
    group.append(textBox([12, 12, w - 24, h - 24], pollText(props), {color: COLORS.black, fontSize: "20px"}));
  }
  return group;
}

// --- the layer over the slide ------------------------------------------------------------------------

/** The drawings: by the id of a slide's image, versions of shapes with their times. */
export class Drawings {
  /** How far the units of tldraw are from those of a slide: its size at most, or null. */
  #most = null;
  #canvases = new Map();
  #drawn = new Map();
  #layer;

  constructor(layer, shapes, tldraw, own) {
    this.#layer = layer;
    for (const canvas of shapes.querySelectorAll("g.canvas")) {
      const found = [...canvas.children].slice(0, MOST).map((one) => ({
        at: one.getAttribute("timestamp"), undo: one.getAttribute("undo"), id: one.getAttribute("shape"),
        make: () => drawShape(one, own),
      }));
      this.#add(canvas.getAttribute("image"), found);
    }
    if (!tldraw || typeof tldraw !== "object") return;
    this.#most = /^2\.6\.0/.test(tldraw.bbb_version) ? [2048, 1536] : [1440, 1080];
    for (const [image, canvas] of Object.entries(tldraw)) {
      if (!Array.isArray(canvas?.shapes)) continue;
      const found = canvas.shapes.slice(0, MOST).map((one) => ({
        at: one?.timestamp, undo: one?.undo, id: one?.shape_data?.id, data: one?.shape_data,
      }));
      const find = (id) => found.findLast((one) => one.id === id && this.#drawn.has(one))?.data;
      for (const one of found) one.make = () => drawTldraw(one.data, find);
      this.#add(`image${image}`, found);
    }
  }

  /** Keep the versions of shapes of a slide, each until the next one or until it was removed. */
  #add(image, found) {
    const last = new Map(), kept = [];
    for (const one of found) {
      one.at = Number.parseFloat(one.at);
      if (Number.isNaN(one.at)) continue;
      const undo = Number.parseFloat(one.undo);
      one.end = undo >= 0 ? undo : Infinity;
      const before = one.id && last.get(one.id);
      if (before) before.end = Math.min(before.end, one.at);
      last.set(one.id, one);
      kept.push(one);
    }
    this.#canvases.set(image, kept);
  }

  /** Return how many units of tldraw a unit of a slide is. */
  scale([width, height]) {
    return this.#most ? Math.min(this.#most[0] / width, this.#most[1] / height) : 1;
  }

  /** Draw the shapes that a slide had at that time. */
  show(slide, now) {
    const seen = (this.#canvases.get(slide?.id) ?? []).filter((one) => one.at <= now + 0.05 && now + 0.05 < one.end);
    if (seen.length === this.#drawn.size && seen.every((one) => this.#drawn.has(one))) return;
    if (slide) this.#layer.setAttribute("transform", `scale(${1 / this.scale(slide.size)})`);
    const before = this.#drawn;
    this.#drawn = new Map(seen.map((one) => [one, null]));
    for (const one of seen) {
      try {
        this.#drawn.set(one, before.get(one) ?? one.make());
      } catch { // no shape
        this.#drawn.set(one, draw("g", {}));
      }
    }
    this.#layer.replaceChildren(...this.#drawn.values());
  }
}
