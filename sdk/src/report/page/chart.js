// Line charts and stacked areas.
const charts = [];  // all that are drawn; they share the cursor

function nice_ticks(min, max, wanted, scale = 1) {
  if (scale !== 1) return nice_ticks(min / scale, max / scale, wanted).map(t => t * scale);
  const raw = (max - min) / Math.max(1, wanted);
  if (!(raw > 0)) return [min];
  const power = 10 ** Math.floor(Math.log10(raw));
  const unit = [1, 2, 2.5, 5, 10].find(u => u * power >= raw * 0.999) * power;
  const ticks = [];
  for (let t = Math.ceil(min / unit - 1e-9) * unit; t <= max + unit * 1e-9; t += unit) ticks.push(Math.abs(t) < unit * 1e-9 ? 0 : t);
  return ticks;
}

// Exponential mean without the pull to its beginning (as TensorBoard draws it).
function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0, n = 0;
  return values.map(v => {
    sum = sum * weight + (1 - weight) * v;
    n = n * weight + (1 - weight);
    return sum / n;
  });
}

const dashes = ['', '6 4', '2 3', '9 3 2 3'];

// spec: {title, help, format, zero (the axis holds 0), unit_range (0..1), stacked, wide, smooth: false to leave it,
//   lines: [{run, name, label, color, dash, points: true for marks, spread: name of a deviation, low, high: names}]}
class Chart {
  constructor(spec) {
    this.spec = spec;
    this.format = spec.format || format.number;
    this.box = el('figure', {class: 'card' + (spec.wide ? ' wide' : '')});
    this.plot = svg('svg', {class: 'plot', role: 'img', tabindex: '0'});
    this.tip = el('div', {class: 'tip', hidden: true});
    this.now = el('span', {class: 'now'});
    this.legend = el('ul', {class: 'legend'});
    this.box.append(el('figcaption', {}, el('h3', {}, spec.title), this.now));
    if (spec.help) this.box.append(el('p', {class: 'help'}, spec.help));
    this.box.append(this.legend, this.plot, this.tip);
    this.plot.addEventListener('pointermove', e => this.point(e));
    this.plot.addEventListener('pointerleave', () => share_cursor(null, null));
    this.plot.addEventListener('keydown', e => this.key(e));
    this.plot.addEventListener('blur', () => share_cursor(null, null));
    charts.push(this);
    observer.observe(this.box);
  }

  // Points in data coordinates, for the axis and smoothing that are chosen.
  prepare(axis, weight) {
    const {spec} = this;
    this.axis = axis;
    this.lines = spec.lines.map(line => {
      const s = series(line.run, line.name), place = on_axis(line.run, axis);
      const steps = s.x.map(i => step_of(line.run, i));
      const smooth = spec.smooth === false || spec.stacked || line.points || s.y.length < 8 ? 0 : weight;
      const ys = smoothed(s.y, smooth);
      const value = (name, key, weight) => {
        const other = name && series(line.run, name);
        if (!other) return null;
        const found = new Map(other.x.map((interval, i) => [interval, i]));
        const list = s.x.map(interval => found.has(interval) ? (other[key] || other.y)[found.get(interval)] : NaN);
        return smoothed_gaps(list, weight);
      };
      const spread = value(line.spread, 'y', smooth);
      const low = line.low ? value(line.low, 'lo', 0) : null, high = line.high ? value(line.high, 'hi', 0) : null;
      const within = (y, i) => Math.max(low ? low[i] : -Infinity, Math.min(high ? high[i] : Infinity, y));
      return {line, steps, smooth, points: s.x.map((_, i) => ({
        x: place(steps[i]), step: steps[i], y: ys[i], raw: s.y[i],
        lo: s.lo ? s.lo[i] : s.y[i], hi: s.hi ? s.hi[i] : s.y[i],
        from: spread ? within(ys[i] - spread[i], i) : undefined, to: spread ? within(ys[i] + spread[i], i) : undefined, spread: spread ? spread[i] : undefined,
        low: low ? low[i] : undefined, high: high ? high[i] : undefined
      }))};
    });
    if (spec.stacked) this.stack();
    this.range();
    this.describe();
  }

  stack() {
    const sums = new Map();
    for (const l of this.lines)
      for (const p of l.points) {
        p.base = sums.get(p.step) || 0;
        p.value = p.y;
        p.y = p.base + p.value;
        sums.set(p.step, p.y);
      }
  }

  range() {
    const xs = [], ys = [];
    for (const l of this.lines)
      for (const p of l.points) {
        xs.push(p.x);
        // One wild value must not flatten the rest: raw values count by their bulk, what is drawn bold counts whole.
        ys.push(p.y);
        for (const y of [p.from, p.to, p.low, p.high]) if (Number.isFinite(y)) ys.push(y);
      }
    const raws = this.lines.flatMap(l => l.smooth ? l.points.map(p => p.raw) : []).filter(Number.isFinite).sort((a, b) => a - b);
    if (raws.length) ys.push(raws[Math.floor(raws.length * 0.01)], raws[Math.ceil(raws.length * 0.99) - 1]);
    const least = list => list.reduce((a, b) => Math.min(a, b), Infinity), most = list => list.reduce((a, b) => Math.max(a, b), -Infinity);
    this.x0 = least(xs); this.x1 = most(xs);
    if (!(this.x1 > this.x0)) { this.x0 -= 0.5; this.x1 += 0.5; }
    let y0 = least(ys), y1 = most(ys);
    const {spec} = this;
    if (spec.zero || spec.stacked) { y0 = Math.min(0, y0); y1 = Math.max(0, y1); }
    if (spec.unit_range && y0 >= 0 && y1 <= 1 && (y1 - y0 > 0.5 || y0 === y1)) { y0 = 0; y1 = 1; }
    if (!(y1 > y0)) { const d = Math.abs(y0) * 0.1 || 1; if (!(spec.zero && y0 === 0)) y0 -= d; y1 += d; }
    const room = (y1 - y0) * 0.06;
    this.y0 = (spec.zero || spec.stacked || spec.unit_range) && y0 === 0 ? 0 : y0 - room;
    this.y1 = spec.unit_range && y1 === 1 ? 1.02 : y1 + room;
  }

  describe() {
    const {spec} = this;
    const words = spec.lines.map(l => {
      const of = series(l.run, l.name).of;
      return `${l.label || spec.title}: ${this.format(of[1])} at step ${of[5]}, ${this.format(of[2])} at step ${of[6]}, ` +
        `lowest ${this.format(of[3])} at step ${of[7]}, highest ${this.format(of[4])} at step ${of[8]}`;
    });
    this.plot.setAttribute('aria-label', `${spec.title}. ${words.join('; ')}`);
    this.legend.replaceChildren();
    this.now.textContent = '';
    if (spec.lines.length === 1) this.now.textContent = this.format(last(spec.lines[0].run, spec.lines[0].name));
    else
      for (const l of spec.lines)
        this.legend.append(el('li', {},
          svg('svg', {viewBox: '0 0 18 8', 'aria-hidden': 'true'}, styled(svg('path', {d: 'M1 4H17', 'stroke-width': spec.stacked ? 7 : 2.4,
            'stroke-dasharray': l.dash || 'none'}), {stroke: l.color})),
          el('span', {}, l.label, ' '), el('b', {}, this.format(last(l.run, l.name)))));
  }

  draw() {
    const width = Math.max(220, this.box.clientWidth - 28), height = this.spec.wide ? 230 : 190;
    const scale = this.format !== format.bytes ? 1 : this.y1 >= 2 ** 30 ? 2 ** 30 : 2 ** 20;
    const ticks = nice_ticks(this.y0, this.y1, 4, scale);
    const left = Math.max(30, 10 + 6.4 * Math.max(...ticks.map(t => this.format(t).length)));
    const right = 8, top = 8, bottom = 22;
    this.geometry = {width, height, left, right, top, bottom};
    const px = this.px = x => left + (x - this.x0) / (this.x1 - this.x0) * (width - left - right);
    const py = this.py = y => top + (this.y1 - y) / (this.y1 - this.y0) * (height - top - bottom);
    const d = n => n.toFixed(1);
    this.plot.setAttribute('viewBox', `0 0 ${width} ${height}`);
    styled(this.plot, {height: height + 'px'});
    const out = [];
    for (const t of ticks) {
      out.push(svg('line', {class: t === 0 ? 'base' : 'grid', x1: left, x2: width - right, y1: d(py(t)), y2: d(py(t))}));
      const label = svg('text', {x: left - 7, y: d(py(t) + 3.5), 'text-anchor': 'end'});
      label.textContent = this.format(t);
      out.push(label);
    }
    const across = nice_ticks(this.x0, this.x1, Math.max(2, Math.floor(width / 110)));
    for (const t of across) {
      if (this.axis === 'step' && !Number.isInteger(t)) continue;
      const label = svg('text', {x: d(px(t)), y: height - 5, 'text-anchor': px(t) > width - right - 24 ? 'end' : px(t) < left + 12 ? 'start' : 'middle'});
      label.textContent = this.axis_text(t);
      out.push(label);
    }
    const clip = 'clip' + charts.indexOf(this);
    out.push(svg('clipPath', {id: clip}, svg('rect', {x: left - 2, y: top - 4, width: width - left - right + 4, height: height - top - bottom + 8})));
    const body = svg('g', {'clip-path': `url(#${clip})`});
    const line = (points, y) => points.filter(p => Number.isFinite(y(p))).map((p, i) => (i ? 'L' : 'M') + d(px(p.x)) + ' ' + d(py(y(p)))).join('');
    const area = (points, lower, upper) => {
      const good = points.filter(p => Number.isFinite(lower(p)) && Number.isFinite(upper(p)));
      return good.length < 2 ? '' : line(good, upper) + line(good.slice().reverse(), lower).replace('M', 'L') + 'Z';
    };
    const filled = (cls, path, c) => path && body.append(styled(svg('path', {class: cls, d: path}), {fill: c}));
    const stroked = (cls, path, l) => path && body.append(styled(svg('path', {class: cls, d: path, 'stroke-dasharray': l.dash || 'none'}), {stroke: l.color}));
    for (const {line: l, points, smooth} of this.lines) {
      if (this.spec.stacked) { filled('layer', area(points, p => p.base, p => p.y), l.color); continue; }
      filled('range', area(points, p => p.low, p => p.high), l.color);
      filled('area', area(points, p => p.from, p => p.to), l.color);
      if (this.lines.length <= 3 && points.some(p => p.hi > p.lo) && !l.spread && !l.low && points.length > 1) filled('range', area(points, p => p.lo, p => p.hi), l.color);
      if (smooth) stroked('raw', line(points, p => p.raw), l);
    }
    if (!this.spec.stacked)
      for (const {line: l, points} of this.lines) {
        stroked('', line(points, p => p.y), l);
        if (l.points && points.length <= 120 || points.length === 1)
          for (const p of points) body.append(styled(svg('circle', {cx: d(px(p.x)), cy: d(py(p.y)), r: points.length > 40 ? 2.4 : 3.4}), {fill: l.color}));
      }
    this.cursor = svg('g', {});
    this.plot.replaceChildren(...out, body, this.cursor);
  }

  axis_text(x) {
    return this.axis === 'time' ? format.seconds(x) : this.axis === 'tokens' ? format.count(x) : x.toLocaleString('en-US', {maximumFractionDigits: 0});
  }

  // The data's x nearest to a place on the screen.
  nearest(x) {
    let best = null;
    for (const l of this.lines)
      for (const p of l.points) if (best === null || Math.abs(p.x - x) < Math.abs(best - x)) best = p.x;
    return best;
  }
  point(e) {
    const r = this.plot.getBoundingClientRect(), g = this.geometry;
    const x = this.x0 + ((e.clientX - r.left) / r.width * g.width - g.left) / (g.width - g.left - g.right) * (this.x1 - this.x0);
    share_cursor(this.nearest(x), this);
  }
  key(e) {
    if (e.key !== 'ArrowLeft' && e.key !== 'ArrowRight') return;
    e.preventDefault();
    const xs = [...new Set(this.lines.flatMap(l => l.points.map(p => p.x)))].sort((a, b) => a - b);
    const at = this.at === undefined || this.at === null ? xs.length : xs.findIndex(x => x >= this.at);
    share_cursor(xs[Math.max(0, Math.min(xs.length - 1, at + (e.key === 'ArrowLeft' ? -1 : 1)))], this);
  }

  // The cursor at x; the chart that is pointed at tells the values.
  show(x, tells) {
    if (!this.cursor) return;
    this.at = x;
    this.cursor.replaceChildren();
    this.tip.hidden = true;
    if (x === null || x < this.x0 || x > this.x1) return;
    const g = this.geometry, at = this.px(x);
    this.cursor.append(svg('line', {class: 'cross', x1: at, x2: at, y1: g.top, y2: g.height - g.bottom}));
    if (!tells) return;
    const rows = [];
    let head = null;
    for (const {line: l, points} of this.lines) {
      const p = points.reduce((a, b) => Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a);
      if (Math.abs(this.px(p.x) - at) > 24) continue;
      head = head || p;
      if (!this.spec.stacked) this.cursor.append(styled(svg('circle', {cx: this.px(p.x), cy: this.py(p.y), r: 3.6}), {fill: l.color}));
      const range = Number.isFinite(p.spread) ? ` ± ${this.format(p.spread)}`
        : Number.isFinite(p.low) ? ` (${this.format(p.low)} to ${this.format(p.high)})` : p.hi > p.lo ? ` (${this.format(p.lo)} to ${this.format(p.hi)})` : '';
      rows.push(el('tr', {}, el('td', {}, styled(el('i'), {background: l.color}), l.label || this.spec.title),
        el('td', {}, this.format(this.spec.stacked ? p.value : p.raw) + range)));
    }
    if (!head) return;
    const stride = this.spec.lines[0].run.stride;
    const step = stride > 1 ? `about step ${Math.round(head.step).toLocaleString('en-US')}` : `step ${Math.round(head.step).toLocaleString('en-US')}`;
    this.tip.replaceChildren(el('div', {class: 'soft'}, this.axis === 'step' ? step : `${step}, ${this.axis_text(head.x)}`), el('table', {}, ...rows));
    this.tip.hidden = false;
    const box = this.box.clientWidth, place = at / g.width * this.plot.clientWidth + 14;
    const leftwards = place > box / 2;
    styled(this.tip, {left: leftwards ? 'auto' : place + 14 + 'px', right: leftwards ? box - place + 14 + 'px' : 'auto', top: this.plot.offsetTop + 6 + 'px'});
  }
}

// Means over what is there, gaps stay gaps.
function smoothed_gaps(list, weight) {
  if (!weight) return list;
  let sum = 0, n = 0;
  return list.map(v => {
    if (!Number.isFinite(v)) return NaN;
    sum = sum * weight + (1 - weight) * v;
    n = n * weight + (1 - weight);
    return sum / n;
  });
}

function share_cursor(x, source) {
  for (const chart of charts) if (chart.box.isConnected) chart.show(x, chart === source);
}

const choice = {axis: kept.get('axis', 'step'), smooth: kept.get('smooth', 0.6)};
function draw_where_needed() {
  for (const chart of charts) {
    const width = chart.box.clientWidth;
    if (!width || width === chart.drawn_for) continue;
    chart.drawn_for = width;
    if (!chart.lines) chart.prepare(choice.axis, choice.smooth);
    chart.draw();
  }
}
const observer = new ResizeObserver(() => requestAnimationFrame(draw_where_needed));
function redraw_all() {
  for (const chart of charts) {
    if (!chart.lines) continue;
    chart.prepare(choice.axis, choice.smooth);
    if (chart.box.clientWidth) chart.draw();
    else chart.drawn_for = 0;
  }
}

// A curve without axes, for a tile.
function sparkline(run, name) {
  const s = series(run, name);
  if (!s || s.y.length < 3) return null;
  const ys = smoothed(s.y, s.y.length > 20 ? 0.8 : 0), low = Math.min(...ys), high = Math.max(...ys), n = ys.length - 1;
  const path = ys.map((y, i) => `${i ? 'L' : 'M'}${(i / n * 98 + 1).toFixed(1)} ${(27 - (y - low) / (high - low || 1) * 24).toFixed(1)}`).join('');
  return svg('svg', {viewBox: '0 0 100 30', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
    styled(svg('path', {d: path, fill: 'none', 'stroke-width': 1.8, 'vector-effect': 'non-scaling-stroke'}), {stroke: run.color}));
}
