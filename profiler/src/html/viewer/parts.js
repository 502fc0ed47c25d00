// Where slow calls spent their time: a bar for each call of a process, from the graph that has their wall time by part.

const PART_HUES = ['#e6863b', '#c62f2f', '#8d6e63', '#8250df', '#4a78b5', '#d9b310', '#bd8a00', '#7d5a00', '#7f8c8d', '#b5b5b5'];
const BARS = 12;

function partsOf(view) {
  const { graph, widths } = view;
  const bars = new Map();
  for (let node = 1; node < graph.size; node++) {
    if (widths[node] <= 0) { node = graph.end[node] - 1; continue; }
    // A path is (class;)container;process;call;part;stack. Frames before the part are the bar's name.
    const path = [];
    for (let own = node; own; own = graph.parent[own]) path.unshift(...Array.from(graph.run(own), name => names[name]));
    const at = path.findIndex((name, place) => place > 0 && path[place - 1].endsWith('()') && meta.parts.includes(name));
    if (at < 0) continue;
    const call = path.slice(0, at).filter(name => name !== '[idle]' && name !== '[user lock]');
    const key = `${call[call.length - 1]} ${call.slice(0, -1).join(' · ')}`;
    if (!bars.has(key)) bars.set(key, new Array(meta.parts.length).fill(0));
    bars.get(key)[meta.parts.indexOf(path[at])] += widths[node];
    node = graph.end[node] - 1;
  }
  return [...bars].map(([name, parts]) => ({ name, parts, sum: parts.reduce((a, b) => a + b, 0) })).sort((a, b) => b.sum - a.sum);
}

function bar(parts, whole) {
  const stripes = el('div', { class: 'bar' });
  parts.forEach((part, at) => {
    if (part <= 0) return;
    const stripe = el('span', { title: `${meta.parts[at]}: ${duration(part)}` });
    stripe.style.width = `${(100 * part) / whole}%`;
    stripe.style.background = PART_HUES[at];
    stripes.append(stripe);
  });
  return stripes;
}

function spoken(parts, sum) {
  return parts.map((part, at) => [part, at]).filter(([part]) => part > 0).sort((a, b) => b[0] - a[0]).map(([part, at]) => `${share(part, sum)} ${meta.parts[at]}`).join(', ');
}

function legend() {
  return el('ul', { class: 'legend' }, ...meta.parts.map((name, at) => { const mark = el('i'); mark.style.background = PART_HUES[at]; return el('li', {}, mark, name); }));
}

function partBars(graph) {
  const list = el('ol', { class: 'bars' });
  const note = el('p', { class: 'note' });
  let aside = false;
  function follow() {
    const view = viewOf(graph, aside);
    const bars = partsOf(view);
    const most = max(1, ...bars.map(own => own.sum));
    list.replaceChildren(...bars.slice(0, BARS).map(own => {
      const stripes = bar(own.parts, own.sum);
      stripes.style.maxWidth = `${max(8, (100 * own.sum) / most)}%`;
      return el('li', {}, el('div', {}, el('b', {}, own.name), ` ${duration(own.sum)}${chosen.second ? '/s in the second range' : ''}`), stripes, el('div', { class: 'note' }, spoken(own.parts, own.sum)));
    }));
    const rest = bars.slice(BARS).reduce((sum, own) => sum + own.sum, 0);
    note.textContent = bars.length ? (rest ? `${bars.length - BARS} more with ${duration(rest)} in all` : '') : 'No slow call in this range.';
  }
  chosen.listeners.push(follow);
  follow();
  return [controls(asideRoots(graph).length ? asideBox(on => { aside = on; follow(); }) : null), legend(), list, note];
}
