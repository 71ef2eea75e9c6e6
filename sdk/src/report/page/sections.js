// Samples, configuration, versions, warnings.
const score_of = r => r.reward;
const signed = x => (x > 0 ? '+' : x < 0 ? '−' : '') + format.number(Math.abs(x));

function samples() {
  const with_samples = runs.filter(r => r.samples.length);
  if (!with_samples.length) return;
  const body = el('div', {});
  let run = with_samples.find(r => r.name === kept.get('samples.run')) || with_samples[0], at = 0;
  const slider = el('input', {type: 'range', min: 0, step: 1, 'aria-label': 'Step of the samples'});
  const label = el('b', {}), back = el('button', {type: 'button', 'aria-label': 'Earlier'}, '‹'), on = el('button', {type: 'button', 'aria-label': 'Later'}, '›');
  const strip = svg('svg', {class: 'strip', 'aria-hidden': 'true'});
  const go = i => {
    at = Math.max(0, Math.min(run.samples.length - 1, i));
    kept.set('samples.step', at === run.samples.length - 1 ? null : run.samples[at].step);
    show();
  };
  const show = () => {
    slider.max = run.samples.length - 1;
    slider.value = at;
    slider.setAttribute('aria-valuetext', 'step ' + run.samples[at].step);
    label.textContent = `step ${run.samples[at].step.toLocaleString('en-US')}`;
    back.disabled = at === 0;
    on.disabled = at === run.samples.length - 1;
    draw_strip(strip, run, at, go);
    const groups = new Map();
    for (const row of run.samples[at].rows) groups.set(row.group, (groups.get(row.group) || []).concat(row));
    body.replaceChildren(...[...groups.values()].map(group));
  };
  slider.addEventListener('input', () => go(Number(slider.value)));
  back.addEventListener('click', () => go(at - 1));
  on.addEventListener('click', () => go(at + 1));
  const chosen = () => { const step = kept.get('samples.step'); const i = run.samples.findIndex(s => s.step === step); at = i < 0 ? run.samples.length - 1 : i; };
  const which = several ? el('select', {'aria-label': 'Run', onchange: e => { run = runs[e.target.value]; kept.set('samples.run', run.name); chosen(); show(); }},
    ...with_samples.map(r => el('option', {value: runs.indexOf(r), selected: r === run}, r.name))) : null;
  section('samples', 'Samples', el('div', {class: 'card'}, el('div', {class: 'samples-bar'}, which, label, back, slider, on), strip), body);
  link('samples', 'Samples');
  chosen();
  show();
  new ResizeObserver(() => requestAnimationFrame(() => draw_strip(strip, run, at, go))).observe(strip);
}

// The rewards of all samples over the steps; a click goes there.
function draw_strip(strip, run, at, go) {
  const width = strip.clientWidth - 28 || 600, height = 74;
  strip.setAttribute('viewBox', `-14 0 ${width + 28} ${height}`);
  const all = run.samples.flatMap(s => s.rows.map(score_of)).filter(Number.isFinite);
  if (!all.length) return;
  const low = Math.min(...all), high = Math.max(...all);
  const y = v => 62 - (high > low ? (v - low) / (high - low) : 0.5) * 50;
  const x = i => run.samples.length > 1 ? i / (run.samples.length - 1) * width : width / 2;
  const out = [];
  const radius = run.samples.length > 25 && width < 500 ? 2.4 : 3.4;
  run.samples.forEach((s, i) => {
    const column = svg('g', {});
    column.addEventListener('click', () => go(i));
    const half = Math.min(26, width / Math.max(1, run.samples.length - 1) / 2);
    column.append(styled(svg('rect', {x: x(i) - half, y: 0, width: 2 * half, height, rx: 4}), {fill: i === at ? 'var(--grid)' : 'transparent', cursor: 'pointer'}));
    const seen = new Map();
    for (const v of s.rows.map(score_of).filter(Number.isFinite)) seen.set(v, (seen.get(v) || 0) + 1);
    for (const [v, n] of seen) column.append(styled(svg('circle', {cx: x(i), cy: y(v), r: radius * Math.min(1.6, 0.8 + n / 12)}), {fill: run.color, opacity: i === at ? 1 : 0.5, 'pointer-events': 'none'}));
    out.push(column);
  });
  strip.replaceChildren(...out);
}

// A worked solution has its answer at the end.
function without_middle(text, most) {
  return text.length <= most ? text : text.slice(0, most / 2) + ' […] ' + text.slice(-most / 2);
}

function group(rows) {
  const first = rows[0];
  const sorted = rows.slice().sort((a, b) => (b.reward ?? -Infinity) - (a.reward ?? -Infinity) || a.index - b.index);
  const most = Math.max(...rows.map(r => Math.abs(r.advantage || 0)), 1e-9);
  const shown = sorted.length <= 4 ? sorted : sorted.slice(0, 2).concat(sorted.slice(-2));
  const rest = sorted.filter(r => !shown.includes(r));
  const list = el('div', {}, ...shown.map(r => completion(r, most)));
  const more = rest.length ? el('button', {type: 'button', onclick: () => { list.replaceChildren(...sorted.map(r => completion(r, most))); more.remove(); }},
    `${rest.length} more between best and worst`) : null;
  return el('article', {class: 'card group'},
    el('div', {class: 'prompt'}, el('p', {class: 'text mono'}, first.prompt)),
    el('div', {class: 'toolbar'}, first.ground_truth ? el('span', {}, 'truth: ', el('code', {}, without_middle(first.ground_truth, 200))) : null,
      el('span', {}, `row ${first.row}`), el('span', {}, `mean reward ${format.number(rows.map(score_of).filter(Number.isFinite).reduce((a, b, _, l) => a + b / l.length, 0))}`)),
    list, more);
}

function completion(r, most) {
  const lever = el('div', {class: 'lever', 'aria-hidden': 'true'});
  const share = 50 * Math.abs(r.advantage || 0) / most;
  lever.append(styled(el('i'), {left: (r.advantage < 0 ? 50 - share : 50) + '%', width: share + '%', background: r.advantage < 0 ? 'var(--bad)' : 'var(--good)'}));
  return el('div', {class: 'completion'},
    el('div', {class: 'score'}, el('strong', {}, r.reward === null ? 'no reward' : format.number(r.reward)), lever,
      `advantage ${r.advantage === null ? '-' : signed(r.advantage)}`, el('br'), `${r.tokens} tokens${r.finish === 'stop' ? '' : r.finish === 'length' ? ', cut off' : ', ' + r.finish}`,
      el('div', {class: 'pills'}, ...Object.entries(r.rewards || {}).map(([name, v]) => el('span', {class: 'pill'}, `${name} ${v === null ? '-' : format.number(v)}`)))),
    el('div', {class: 'body'}, el('p', {class: 'text mono'}, r.completion || el('span', {class: 'soft'}, '(empty)'))));
}

function configuration() {
  if (!runs.some(r => r.config.length)) return;
  const keys = [...new Set(runs.flatMap(r => r.config.map(c => c[0])))];
  const cells = runs.map(r => new Map(r.config.map(c => [c[0], c])));
  const body = el('tbody', {});
  const search = el('input', {type: 'search', placeholder: 'part of a key', 'aria-label': 'Part of a key'});
  const only = el('input', {type: 'checkbox'});
  only.checked = kept.get('config.only', true);
  const given = c => c && c[2] && c[2] !== 'default' && c[2] !== 'derived';
  const differs = key => new Set(cells.map(c => (c.get(key) || [])[1])).size > 1;
  const fill = () => {
    kept.set('config.only', only.checked);
    const wanted = keys.filter(k => k.includes(search.value) && (!only.checked || (several ? differs(k) : given(cells[0].get(k)))));
    body.replaceChildren(...wanted.map(k => el('tr', {}, el('th', {scope: 'row', class: 'mono'}, k),
      ...cells.map(c => el('td', {class: 'mono'}, (c.get(k) || [, '-'])[1])), several ? null : el('td', {class: 'soft'}, (cells[0].get(k) || [])[2] || ''))));
    if (!wanted.length) body.append(el('tr', {}, el('td', {colspan: '9', class: 'soft'}, several ? 'The runs do not differ.' : 'Nothing.')));
  };
  search.addEventListener('input', fill);
  only.addEventListener('change', fill);
  fill();
  section('configuration', 'Configuration', el('div', {class: 'toolbar'}, search, el('label', {}, only, several ? 'only what differs' : 'only what was set')),
    el('div', {class: 'card scroll'}, el('table', {class: 'data'}, el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'Key'),
      ...(several ? runs.map(r => el('th', {scope: 'col'}, r.name)) : [el('th', {scope: 'col'}, 'Value'), el('th', {scope: 'col'}, 'Set by')]))), body)));
  link('configuration', 'Configuration');
}

function versions() {
  const rows = new Map();
  runs.forEach((run, i) => {
    const f = facts(run), put = (key, value) => { if (value !== undefined && value !== '') { if (!rows.has(key)) rows.set(key, runs.map(() => '-')); rows.get(key)[i] = value; } };
    put('directory', run.directory);
    put('begun', f.started && format.date(f.started));
    put('ended', f.ended && format.date(f.ended));
    put('resumed from', f.resumed);
    put('grpo-host', f.host);
    put('plugin ABI', f.abi !== undefined ? `${f.abi}, headers revision ${f.header_revision}` : undefined);
    for (const c of f.components || []) put(c.role, `${c.plugin} ${c.version}` + (c.name && c.name !== c.plugin ? ` (${c.name})` : ''));
    for (const [name, version] of Object.entries(f.libraries || {})) put(name, version);
    const machine = f.machine || {};
    put('processor', machine.processor && `${machine.processor}, ${machine.cores} core(s) used`);
    put('memory', machine.memory_bytes && format.bytes(machine.memory_bytes));
    put('system', machine.system);
    put('parameters', f.parameters && format.count(f.parameters));
  });
  if (!rows.size) return;
  section('versions', 'What ran', el('div', {class: 'card scroll'}, el('table', {class: 'data'},
    several ? el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, ''), ...runs.map(r => el('th', {scope: 'col'}, r.name)))) : null,
    el('tbody', {}, ...[...rows].map(([key, values]) => el('tr', {}, el('th', {scope: 'row'}, key), ...values.map(v => el('td', {}, v))))))));
  link('versions', 'Versions');
}

function warnings() {
  const all = runs.reduce((n, r) => n + r.warnings_seen, 0);
  const list = el('ul', {class: 'warnings'});
  for (const run of runs) {
    const by_text = new Map();
    for (const [time, level, text] of run.warnings) {
      const same = by_text.get(level + text);
      if (same) { ++same.n; same.time = time; } else by_text.set(level + text, {time, level, text, n: 1});
    }
    for (const w of [...by_text.values()].reverse())
      list.append(el('li', {}, el('span', {class: 'level' + (w.level === 'warning' ? '' : ' error')}, w.level), el('p', {class: 'text'}, several ? el('b', {}, run.name + ': ') : null, w.text),
        el('time', {}, w.n > 1 ? `${w.n} times, last ${w.time}` : w.time)));
    const left_out = run.warnings_seen - run.warnings.length;
    if (left_out > 0) list.append(el('li', {}, el('span'), el('p', {class: 'soft'}, `and ${left_out} earlier ones in run.log`)));
  }
  section('warnings', 'Warnings', el('div', {class: 'card'}, all ? list : el('p', {class: 'empty'}, 'None in run.log.')));
  link('warnings', 'Warnings', all);
}

function controls() {
  const axis = document.getElementById('axis'), smooth = document.getElementById('smooth'), value = document.getElementById('smooth-value');
  axis.value = choice.axis;
  smooth.value = choice.smooth;
  value.textContent = choice.smooth.toFixed(2);
  axis.addEventListener('change', () => { kept.set('axis', choice.axis = axis.value); redraw_all(); });
  smooth.addEventListener('input', () => { kept.set('smooth', choice.smooth = Number(smooth.value)); value.textContent = choice.smooth.toFixed(2); redraw_all(); });
  const theme = document.getElementById('theme'), root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)');
  const is_dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : dark.matches;
  const paint = () => { theme.textContent = is_dark() ? '☀' : '☾'; theme.setAttribute('aria-label', is_dark() ? 'Light colours' : 'Dark colours'); };
  const chosen = kept.get('theme', null);
  if (chosen) root.dataset.theme = chosen;
  theme.addEventListener('click', () => { root.dataset.theme = is_dark() ? 'light' : 'dark'; kept.set('theme', root.dataset.theme); paint(); });
  dark.addEventListener('change', paint);
  paint();
  const live = document.getElementById('live');
  if (!data.refresh || !runs.some(r => state_of(r) === 'running')) return;
  live.closest('label').hidden = false;
  live.checked = kept.get('live', true);
  live.addEventListener('change', () => kept.set('live', live.checked));
  const busy = () => document.visibilityState !== 'visible' || (document.activeElement && document.activeElement.matches('input[type="search"], select')) || String(getSelection());
  setInterval(() => { if (live.checked && !busy()) location.reload(); }, Math.max(2, data.refresh) * 1000);
}

// The part of the page that is in view is marked above.
function follow() {
  const links = [...nav.querySelectorAll('a')];
  const parts = links.map(a => document.getElementById(a.hash.slice(1)));
  let due = false;
  const mark = () => {
    due = false;
    let current = 0;
    parts.forEach((p, i) => { if (p.getBoundingClientRect().top < 160) current = i; });
    links.forEach((a, i) => { if (i === current) a.setAttribute('aria-current', 'true'); else a.removeAttribute('aria-current'); });
  };
  addEventListener('scroll', () => { if (!due) { due = true; requestAnimationFrame(mark); } }, {passive: true});
  mark();
}

head();
if (several) comparison(); else tiles();
learning();
completions();
policy();
speed();
if (!all_names.length) main.append(el('p', {class: 'card empty'}, 'No step has ended yet.'));
samples();
the_rest();
configuration();
versions();
warnings();
controls();
follow();
draw_where_needed();
document.getElementById('footer').textContent = `Made by grpo-host ${facts(runs[0]).host || ''} on ${format.date(data.written)}. Values in metrics.jsonl are exact; curves are means over ${Math.max(...runs.map(r => r.stride))} step(s) a point.`;
