'use strict';
// What the page shows, and how numbers are written.
const data = JSON.parse(document.getElementById('data').textContent);
const runs = data.runs;
const several = runs.length > 1;
const colors = 8;
const color = i => `var(--c${i % colors})`;

// Elements. Text only ever goes in as text.
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) e.addEventListener(key.slice(2), value);
    else e.setAttribute(key, value === true ? '' : value);
  }
  e.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false));
  return e;
}
function svg(name, attributes, ...children) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== undefined) e.setAttribute(key, value);
  e.append(...children);
  return e;
}
// Styles by script: attributes would need the policy's leave.
function styled(e, style) {
  for (const [key, value] of Object.entries(style)) e.style.setProperty(key, value);
  return e;
}

// Choices of the reader outlive a reload.
const kept = {
  get(key, otherwise) {
    try { return JSON.parse(sessionStorage.getItem('grpo.' + key)) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) { try { sessionStorage.setItem('grpo.' + key, JSON.stringify(value)); } catch { /* private window */ } }
};

const format = {
  number(x) {
    if (x === null || x === undefined || !Number.isFinite(x)) return '-';
    const a = Math.abs(x);
    if (a === 0) return '0';
    if (a >= 1e6 || a < 1e-3) return x.toExponential(2).replace('e+', 'e').replace(/\.?0+e/, 'e');
    if (a >= 1000) return Math.round(x).toLocaleString('en-US');
    return String(Number(x.toPrecision(a >= 100 ? 4 : 3)));
  },
  percent: x => Number.isFinite(x) ? Number((100 * x).toPrecision(Math.abs(x) < 0.001 ? 1 : 3)) + ' %' : '-',
  seconds(s) {
    if (!Number.isFinite(s)) return '-';
    if (s === 0) return '0 s';
    if (s < 0.001) return Number((s * 1e6).toPrecision(3)) + ' µs';
    if (s < 1) return Number((s * 1000).toPrecision(3)) + ' ms';
    if (s < 60) return Number(s.toPrecision(3)) + ' s';
    if (s < 3600) return Math.floor(s / 60) + ' min ' + Math.round(s % 60) + ' s';
    if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.round(s % 3600 / 60) + ' min';
    return Math.floor(s / 86400) + ' d ' + Math.round(s % 86400 / 3600) + ' h';
  },
  bytes(b) {
    if (!Number.isFinite(b)) return '-';
    return b >= 2 ** 30 ? Number((b / 2 ** 30).toPrecision(3)) + ' GiB' : Number((b / 2 ** 20).toPrecision(3)) + ' MiB';
  },
  count(x) {
    if (!Number.isFinite(x)) return '-';
    for (const [unit, suffix] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']])
      if (Math.abs(x) >= 10 * unit || (unit > 1e3 && Math.abs(x) >= unit)) return Number((x / unit).toPrecision(3)) + ' ' + suffix;
    return x.toLocaleString('en-US', {maximumFractionDigits: Math.abs(x) < 10 ? 2 : 0});
  },
  rate: x => format.count(x) + '/s',
  clock: ms => new Date(ms).toLocaleTimeString(),
  date: ms => new Date(ms).toLocaleString()
};

// A run by name: the last part of its directory that tells it from the others.
(function name_runs() {
  const paths = runs.map(r => r.directory.split('/').filter(Boolean));
  for (let parts = 1; parts < 6; ++parts) {
    const names = paths.map(p => p.slice(-parts).join('/'));
    runs.forEach((r, i) => { r.name = names[i] || '/'; r.color = color(i); });
    if (new Set(names).size === names.length) return;
  }
})();

const facts = run => run.facts || {};
const series = (run, name) => run.series[name];
const statistic = (run, name, which) => {
  const s = series(run, name);
  return s ? s.of[{n: 0, first: 1, last: 2, min: 3, max: 4, first_step: 5, last_step: 6, min_step: 7, max_step: 8}[which]] : undefined;
};
const last = (run, name) => statistic(run, name, 'last');
const step_of = (run, interval) =>
  run.stride === 1 ? interval : Math.min((interval + 0.5) * run.stride - 0.5, run.last);
// Mean of the last tenth, at least five points: what a noisy curve has come to.
function recent(run, name) {
  const s = series(run, name);
  if (!s || !s.y.length) return undefined;
  const tail = s.y.slice(-Math.max(5, Math.round(s.y.length / 10)));
  return tail.reduce((a, b) => a + b, 0) / tail.length;
}

// Where a step lies on the x axis that was chosen.
function on_axis(run, axis) {
  const by = {time: 'elapsed', tokens: 'num_tokens'}[axis];
  const s = by && series(run, by);
  if (!s) return step => step;
  const xs = s.x.map(i => step_of(run, i)), ys = s.hi || s.y;
  return step => {
    let low = 0, high = xs.length - 1;
    if (step <= xs[0]) return xs[0] > 0 ? ys[0] * step / xs[0] : ys[0];
    if (step >= xs[high]) return ys[high];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= step) low = middle; else high = middle;
    }
    const share = (step - xs[low]) / (xs[high] - xs[low]);
    return ys[low] + share * (ys[high] - ys[low]);
  };
}

// Whether a run is still going on, as far as a file can tell.
function state_of(run) {
  const f = facts(run);
  const state = f.status || (run.last ? 'finished' : 'empty');
  if (state !== 'running') return state;
  const quiet = Date.now() - data.written > Math.max(600e3, 20e3 * (data.refresh || 1), 20e3 * (last(run, 'step_time') || 0));
  return quiet ? 'quiet' : 'running';
}
const state_text = {running: 'running', finished: 'finished', stopped: 'stopped early', failed: 'failed',
  interrupted: 'ended without a word', quiet: 'no news', empty: 'nothing yet'};
const badge = run => { const s = state_of(run); return el('span', {class: `badge ${s === 'interrupted' ? 'failed' : s}`}, state_text[s] || s); };
