// The parts of the page.
const main = document.getElementById('main');
const nav = document.getElementById('nav');

function section(id, title, ...children) {
  const s = el('section', {id, 'aria-labelledby': id + '-title'}, el('h2', {id: id + '-title'}, title), ...children);
  main.append(s);
  return s;
}
function link(id, title, count) {
  nav.append(el('a', {href: '#' + id}, title, count ? el('span', {class: 'count'}, String(count)) : null));
}

// ---- head and tiles

function head() {
  const one = runs[0];
  document.title = runs.map(r => r.name).join(', ') + (several ? '' : ` · step ${one.last}`);
  document.getElementById('title').textContent = several ? `${runs.length} runs` : one.name;
  const status = document.getElementById('status');
  if (!several) {
    const f = facts(one), total = f.steps_total;
    status.append(badge(one), el('span', {}, total ? `step ${one.last.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}` : `step ${one.last}`));
    if (series(one, 'elapsed')) status.append(el('span', {}, format.seconds(last(one, 'elapsed')) + ' of training'));
    if (f.stage) status.append(el('span', {}, f.stage === 'sft' ? 'supervised' : (value_of(one, 'algorithm.objective') || 'GRPO')));
  } else status.append(...runs.map(r => el('span', {class: 'nowrap'}, styled(el('i', {class: 'swatch'}), {color: r.color}), r.name)));
  status.append(el('span', {}, 'written ' + format.clock(data.written)));
  for (const run of runs)
    if (facts(run).message) main.append(el('div', {class: 'card failure', role: 'alert'}, el('strong', {}, several ? run.name + ' failed: ' : 'The run failed: '), facts(run).message));
}

const value_of = (run, key) => { const row = run.config.find(r => r[0] === key); return row && row[1].replace(/^"(.*)"$/, '$1'); };

function tile(label, value, unit, note, spark) {
  return el('div', {class: 'card tile'}, el('div', {class: 'label'}, label),
    el('div', {class: 'value'}, value, unit ? el('small', {}, unit) : null), el('div', {class: 'note'}, ...[].concat(note || [])), spark || null);
}
const change = (from, to, show) => {
  if (!Number.isFinite(from) || !Number.isFinite(to)) return null;
  const sign = to >= from ? '+' : '−';
  return el('span', {class: to > from ? 'up' : to < from ? 'down' : ''}, sign + show(Math.abs(to - from)));
};

function tiles() {
  const run = runs[0], f = facts(run), out = [];
  const has = name => series(run, name);
  if (f.steps_total) {
    const left = (f.steps_total - run.last) * (last(run, 'elapsed') || 0) / Math.max(1, run.last);
    const bar = el('div', {class: 'bar'}, styled(el('i'), {width: 100 * Math.min(1, run.last / f.steps_total) + '%'}));
    out.push(el('div', {class: 'card tile'}, el('div', {class: 'label'}, 'Progress'),
      el('div', {class: 'value'}, Math.floor(100 * run.last / f.steps_total) + ' %'),
      el('div', {class: 'note'}, state_of(run) === 'running' ? `about ${format.seconds(left)} left` : `${run.last.toLocaleString('en-US')} steps in ${format.seconds(last(run, 'elapsed'))}`), bar));
  }
  if (has('reward'))
    out.push(tile('Reward, lately', format.number(recent(run, 'reward')), '', [change(statistic(run, 'reward', 'first'), recent(run, 'reward'), format.number), ' since the first step'], sparkline(run, 'reward')));
  if (has('eval/accuracy'))
    out.push(tile('Accuracy, held out', format.percent(last(run, 'eval/accuracy')), '', has('eval/accuracy').of[0] > 1
      ? [change(statistic(run, 'eval/accuracy', 'first'), last(run, 'eval/accuracy'), x => Number((100 * x).toPrecision(3)) + ' points'), ` since step ${statistic(run, 'eval/accuracy', 'first_step')}`]
      : [`at step ${statistic(run, 'eval/accuracy', 'last_step')}`], sparkline(run, 'eval/accuracy')));
  if (has('loss') && !has('reward')) out.push(tile('Loss, lately', format.number(recent(run, 'loss')), '', [change_down(run, 'loss'), ' since the first step'], sparkline(run, 'loss')));
  if (has('completions/mean_length')) {
    const clipped = recent(run, 'completions/clipped_ratio');
    out.push(tile('Completion length', format.number(recent(run, 'completions/mean_length')), 'tokens', !(clipped > 0) ? 'none is cut off' : clipped < 0.001 ? 'hardly any is cut off' : `${format.percent(clipped)} are cut off`, sparkline(run, 'completions/mean_length')));
  }
  if (has('step_time')) out.push(tile('Step', format.seconds(recent(run, 'step_time')), '', has('throughput/end_to_end_tokens_per_second') ? format.rate(recent(run, 'throughput/end_to_end_tokens_per_second')).replace('/s', ' tokens/s') : ''));
  const memory = has('memory/device_peak') ? 'memory/device_peak' : 'memory/rss_peak';
  if (has(memory)) out.push(tile('Peak memory', format.bytes(last(run, memory)), '', memory === 'memory/rss_peak' ? 'of the process' : 'on the device'));
  main.append(el('div', {class: 'tiles', role: 'group', 'aria-label': 'Where the run stands'}, ...out));
}
function change_down(run, name) {
  const c = change(statistic(run, name, 'first'), recent(run, name), format.number);
  if (c) c.className = c.className === 'up' ? 'down' : c.className === 'down' ? 'up' : '';
  return c;
}

function comparison() {
  const columns = [['State', r => badge(r)], ['Steps', r => r.last.toLocaleString('en-US'), 1], ['Reward, lately', r => format.number(recent(r, 'reward')), 1],
    ['Best accuracy', r => format.percent(statistic(r, 'eval/accuracy', 'max')), 1], ['Last accuracy', r => format.percent(last(r, 'eval/accuracy')), 1],
    ['Length', r => format.number(recent(r, 'completions/mean_length')), 1], ['Entropy', r => format.number(recent(r, 'entropy')), 1], ['KL', r => format.number(recent(r, 'kl')), 1],
    ['Loss', r => format.number(recent(r, 'loss')), 1], ['Step', r => format.seconds(recent(r, 'step_time')), 1], ['Training time', r => format.seconds(last(r, 'elapsed')), 1],
    ['Tokens/s', r => format.count(recent(r, 'throughput/end_to_end_tokens_per_second')), 1], ['Peak memory', r => format.bytes(last(r, 'memory/rss_peak')), 1], ['Warnings', r => String(r.warnings_seen), 1]];
  const used = columns.filter(c => runs.some(r => { const v = c[1](r); return typeof v !== 'string' || v !== '-'; }));
  section('runs', 'The runs side by side', el('div', {class: 'card scroll'}, el('table', {class: 'data'},
    el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'Run'), ...used.map(c => el('th', {scope: 'col', class: c[2] ? 'number' : ''}, c[0])))),
    el('tbody', {}, ...runs.map(r => el('tr', {}, el('th', {scope: 'row', class: 'nowrap'}, styled(el('i', {class: 'swatch'}), {background: r.color}), r.name),
      ...used.map(c => el('td', {class: c[2] ? 'number' : ''}, c[1](r)))))))));
  link('runs', 'Runs');
}

// ---- charts

const drawn = new Set(['epoch', 'elapsed', 'reward_std', 'eval/num_questions']);
const all_names = [...new Set(runs.flatMap(r => Object.keys(r.series)))];
const matching = pattern => all_names.filter(n => pattern.test(n));

// One curve a metric and run: with one run the colours tell metrics apart, with several the runs (and dashes the
// metrics).
function lines_of(metrics) {
  const found = metrics.filter(m => runs.some(r => series(r, m.name))), present = found.filter(m => !several || !m.alone);
  for (const m of found) drawn.add(m.name);
  return runs.flatMap(run => present.filter(m => series(run, m.name)).map(m => {
    const i = present.indexOf(m);
    for (const beside of [m.low, m.high]) if (beside && series(run, beside)) drawn.add(beside);
    const label = several ? (present.length > 1 ? `${run.name}: ${m.label}` : run.name) : m.label;
    return {run, ...m, label, color: several ? run.color : color(i), dash: several ? dashes[i % dashes.length] : ''};
  }));
}
function chart(spec, ...metrics) {
  const flat = m => runs.every(r => !series(r, m.name) || (statistic(r, m.name, 'min') === spec.neutral && statistic(r, m.name, 'max') === spec.neutral));
  if (spec.neutral !== undefined && metrics.every(flat)) return null;  // it would say nothing; it is among the rest
  const lines = lines_of(metrics);
  return lines.length ? new Chart({...spec, lines}).box : null;
}
function chart_section(id, title, ...boxes) {
  const found = boxes.flat().filter(Boolean);
  if (!found.length) return;
  section(id, title, el('div', {class: 'charts'}, ...found));
  link(id, title);
}
const m = (name, label, more) => ({name, label, ...more});

function learning() {
  const rewards = matching(/^rewards\/.+\/mean$/).filter(n => !/\/component\//.test(n));
  const evals = matching(/^eval\/(.*\/)?(accuracy|pass@\d+|.*_acc|pass_at_.*)$/);
  chart_section('learning', 'Learning',
    chart({title: 'Reward', help: several ? 'Mean over the completions of a step.' : 'Mean over the completions of a step, with their standard deviation.'}, m('reward', 'reward', several ? {} : {spread: 'reward_std', low: 'reward_min', high: 'reward_max'})),
    evals.length ? chart({title: 'Held-out accuracy', help: 'Share of held-out prompts that are answered right.', format: format.percent, unit_range: true},
      ...evals.map(n => m(n, n.replace(/^eval\//, ''), {points: true}))) : null,
    rewards.length ? chart({title: 'Each reward', help: 'Means before weights.'}, ...rewards.map(n => m(n, n.slice(8, -5)))) : null,
    chart({title: 'Groups that teach nothing', help: 'Completions in groups whose rewards are all equal: too easy, too hard, or a reward that does not fit.', format: format.percent, unit_range: true, zero: true}, m('frac_reward_zero_std', 'equal rewards')),
    chart({title: 'Loss', help: series(runs[0], 'reward') ? 'On the first pass near 0, but for what longer completions weigh: the reward tells more.' : 'Mean negative log-likelihood, nats a token.'}, m('loss', 'loss'), m('eval/loss', 'held out', {points: true})),
    chart({title: 'Probability of the right token', format: format.percent, unit_range: true}, m('mean_token_probability', 'probability')));
  drawn.add('policy_loss');
}

function completions() {
  chart_section('completions', 'Completions',
    chart({title: 'Completion length', help: several ? 'Tokens, mean.' : 'Tokens: mean, and the range from shortest to longest.', zero: true}, m('completions/mean_length', 'length', several ? {} : {low: 'completions/min_length', high: 'completions/max_length'})),
    chart({title: 'Cut off', help: 'Completions that ran into the length limit. Near 100 %: raise the limit, nothing can be learnt.', format: format.percent, unit_range: true, zero: true, neutral: 0}, m('completions/clipped_ratio', 'cut off')),
    runs.some(r => statistic(r, 'completions/clipped_ratio', 'max') > 0.02) && chart({title: 'Length of those that ended', help: 'Tokens.', zero: true}, m('completions/mean_terminated_length', 'mean', several ? {} : {low: 'completions/min_terminated_length', high: 'completions/max_terminated_length'})),
    chart({title: 'Rewards that failed', help: 'Completions whose reward was an error or too late.', zero: true, smooth: false}, ...matching(/^rewards\/.+\/(errors|timeouts)$/).filter(n => runs.some(r => statistic(r, n, 'max') > 0)).map(n => m(n, n.slice(8)))));
  for (const n of matching(/^rewards\/.+\/(errors|timeouts|na)$/)) if (!runs.some(r => statistic(r, n, 'max') > 0)) drawn.add(n);
}

function policy() {
  chart_section('policy', 'Policy',
    chart({title: 'Entropy', help: 'Nats a token. A fast fall is a collapse: completions become all alike.', zero: true}, m('entropy', 'entropy')),
    chart({title: 'KL to the reference', help: 'Nats a token.', zero: true}, m('kl', 'KL')),
    chart({title: 'Clipped tokens', help: 'Share of tokens whose ratio left the trust region.', format: format.percent, zero: true, neutral: 0},
      m('clip_ratio/region_mean', 'either side'), m('clip_ratio/low_mean', 'below', {alone: true}), m('clip_ratio/high_mean', 'above', {alone: true})),
    chart({title: 'Gradient norm', help: 'Before clipping. 0: nothing is learnt; spikes: lower the learning rate.', zero: true}, m('grad_norm', 'norm')),
    chart({title: 'Learning rate', smooth: false, zero: true}, m('learning_rate', 'learning rate')),
    chart({title: 'Ratio of new to old policy', help: '1 on the first pass.', neutral: 1}, m('ratio/max', 'largest'), m('ratio/mean', 'mean', {alone: true})),
    chart({title: 'Sampler against trainer', help: 'Difference of log-probabilities, nats: noise, or a broken sampler.', zero: true, neutral: 0}, m('sampling/logp_difference/mean', 'mean'), m('sampling/logp_difference/max', 'largest')));
}

const phases = [['rollout', 'rollout'], ['reward', 'waiting for rewards'], ['old_logp', 'old log-probabilities'], ['reference', 'reference'], ['update', 'forward and backward'], ['optimizer', 'optimizer'], ['weights', 'weights to the sampler']];
function speed() {
  const stacked = runs.map(run => {
    const found = phases.filter(([key]) => statistic(run, 'timing/' + key, 'max') > 0);
    if (found.length < 2) return null;
    const lines = found.map(([key, label]) => ({run, name: 'timing/' + key, label, color: color(phases.findIndex(p => p[0] === key))}));
    return new Chart({title: several ? `Time by phase: ${run.name}` : 'Time by phase', help: 'Seconds of a step.', format: format.seconds, stacked: true, wide: !several, lines}).box;
  });
  for (const [key] of phases) drawn.add('timing/' + key);
  chart_section('speed', 'Speed',
    stacked,
    chart({title: 'Time of a step', format: format.seconds, zero: true}, m('step_time', 'step')),
    chart({title: 'Throughput', help: several ? 'Completion tokens a second, end to end.' : 'Tokens a second.', format: format.count, zero: true}, m('throughput/end_to_end_tokens_per_second', 'end to end'),
      m('throughput/rollout_tokens_per_second', 'rollout', {alone: true}), m('throughput/update_tokens_per_second', 'update', {alone: true})),
    chart({title: 'Memory', help: 'The most so far.', format: format.bytes, zero: true, smooth: false}, m('memory/rss_peak', 'process'), m('memory/device_peak', 'device')),
    chart({title: 'Model FLOPs utilization', format: format.percent, zero: true}, m('mfu', 'mfu')),
    chart({title: 'Evaluation and checkpoints', help: 'Seconds, in the steps that had one.', format: format.seconds, zero: true}, m('timing/eval', 'evaluation', {points: true}), m('timing/checkpoint', 'checkpoint', {points: true})));
}

// What no chart above shows is drawn when it is asked for.
function the_rest() {
  const names = all_names.filter(n => !drawn.has(n));
  const grid = el('div', {class: 'charts'});
  const search = el('input', {type: 'search', placeholder: 'part of a name', 'aria-label': 'Part of a metric\'s name'});
  const fill = () => {
    const wanted = names.filter(n => n.includes(search.value)).slice(0, 60);
    for (const box of grid.children) charts.splice(charts.findIndex(c => c.box === box), 1);
    grid.replaceChildren(...wanted.map(n => chart({title: n, format: /(^|\/)(timing|.*seconds)/.test(n) ? format.seconds : format.number}, m(n, n))));
    draw_where_needed();
  };
  search.addEventListener('input', fill);
  const rest = names.length ? keep_open('rest', el('details', {}, el('summary', {}, `${names.length} more curves`), el('div', {class: 'toolbar'}, search), grid), fill) : null;
  const table = el('tbody', {});
  const rows = keep_open('table', el('details', {}, el('summary', {}, 'All metrics as a table'), el('div', {class: 'card scroll'}, el('table', {class: 'data'},
    el('caption', {}, 'Every metric with its first and last value, its extremes and where they were.'),
    el('thead', {}, el('tr', {}, ...(several ? [['Run', '']] : []).concat([['Metric', ''], ['first', 'number'], ['last', 'number'], ['smallest', 'number'], ['at step', 'number'], ['largest', 'number'], ['at step', 'number'], ['values', 'number']]).map(([t, c]) => el('th', {scope: 'col', class: c}, t)))),
    table))), () => {
    if (table.childElementCount) return;
    for (const run of runs)
      for (const [name, s] of Object.entries(run.series))
        table.append(el('tr', {}, several ? el('td', {}, run.name) : null, el('th', {scope: 'row', class: 'mono'}, name),
          ...[s.of[1], s.of[2], s.of[3], s.of[7], s.of[4], s.of[8], s.of[0]].map((x, i) => el('td', {class: 'number'}, i === 3 || i >= 5 ? x.toLocaleString('en-US') : format.number(x)))));
  });
  section('more', 'Everything else', ...[rest, rows].filter(Boolean));
  link('more', 'More');
}
function keep_open(key, details, opened) {
  details.addEventListener('toggle', () => { kept.set('open.' + key, details.open); if (details.open) opened(); });
  if (kept.get('open.' + key, false)) { details.open = true; opened(); }
  return details;
}
