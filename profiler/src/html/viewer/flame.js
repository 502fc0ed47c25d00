// A flame graph on a canvas. Only what is in sight and at least a part of a pixel wide is drawn.

const ROW = 17;
const TALLEST = 640;

// Kernel code is orange, inlined code green, what we say ourselves grey, user code yellow.
function plainColor(name) {
  let hash = 7;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) % 997;
  const light = (dark ? 24 : 67) + hash / 90;
  const kind = name.endsWith('_[k]') ? [14, 75] : name.endsWith('_[i]') ? [95, 40] : /^(\[|--)/.test(name) ? [210, 8] : [40, 70];
  return `hsl(${kind[0] + hash / 66} ${kind[1]}% ${light}%)`;
}

function changeColor(change) {
  const strength = min(1, abs(change) * 4) ** 0.5;
  if (strength < 0.02) return dark ? '#3a3a3a' : '#eee';
  return `hsl(${change > 0 ? 4 : 215} ${30 + 45 * strength}% ${dark ? 30 + 18 * strength : 92 - 34 * strength}%)`;
}

// `ask` gives what is shown: {graph, widths, before, after}; `act` is told what is done to a frame.
function flame(label, ask, act) {
  const canvas = el('canvas', { tabindex: 0, role: 'application', 'aria-label': `${label}. Arrows move, Enter zooms, Escape goes back, s shows callers.` });
  const space = el('div', {}, canvas);
  const scroll = el('div', { class: 'flame' }, space);
  const tip = el('p', { class: 'tip', role: 'status' }, ' ');
  let [view, zoomed, icicle, match, focus, drawn, clicked, fresh, painted] = [null, 0, false, null, null, [], null, true, 0];

  const nameAt = frame => (frame < 0 ? 'all' : names[view.graph.frames[frame]]);
  const depthOf = (node, frame) => (node ? view.graph.depth[node] + frame - view.graph.start[node] : 0);
  const children = parent => {
    const found = [];
    for (let node = parent + 1; node < view.graph.end[parent]; node = view.graph.end[node]) found.push(node);
    return found;
  };

  // Frames that are wide enough: node, frame, left, width.
  function visible(width) {
    const { graph, widths } = view;
    const scale = width / max(widths[zoomed], 1e-9);
    const found = [[0, -1, 0, width]];
    const place = (node, from, wide) => { for (let frame = graph.start[node]; frame < graph.start[node + 1]; frame++) found.push([node, frame, from, wide]); };
    for (let node = zoomed; node; node = graph.parent[node]) place(node, 0, width);
    const stack = [[zoomed, 0]];
    while (stack.length) {
      let [parent, from] = stack.pop();
      for (const node of children(parent)) {
        const wide = widths[node] * scale;
        if (wide >= 0.4) {
          place(node, from, wide);
          stack.push([node, from]);
        }
        from += wide;
      }
    }
    return found;
  }

  function draw() {
    if (!view) return;
    const { graph, widths, before, after } = view;
    const found = visible(max(1, scroll.clientWidth));
    const tall = (1 + found.reduce((most, [node, frame]) => max(most, depthOf(node, frame)), 0)) * ROW;
    const height = min(printing ? 4000 : TALLEST, tall);
    [space.style.height, scroll.style.height] = [`${tall}px`, `${height + 2}px`];
    if (fresh) scroll.scrollTop = icicle ? 0 : tall;
    [fresh, painted] = [false, scroll.scrollTop];
    const [pen] = prepared(canvas, height);
    const whole = after ? max(before[0], after[0], 1e-9) : 1;
    drawn = [];
    for (const [node, frame, from, wide] of found) {
      const depth = depthOf(node, frame);
      const y = (icicle ? depth * ROW : tall - (depth + 1) * ROW) - painted;
      if (y < -ROW || y > height) continue;
      const name = nameAt(frame);
      const hit = match && frame >= 0 && match[graph.frames[frame]];
      pen.globalAlpha = depth < graph.depth[zoomed] ? 0.5 : match && !hit ? 0.35 : 1;
      pen.fillStyle = hit ? '#d63cd6' : after ? changeColor((after[node] - before[node]) / whole) : plainColor(name);
      pen.fillRect(from, y, max(0.4, wide - (wide > 3 ? 0.5 : 0)), ROW - 1);
      pen.globalAlpha = 1;
      if (wide > 28) {
        const room = floor((wide - 6) / 6.7);
        pen.fillStyle = hit ? '#fff' : dark ? '#f4f4f4' : '#111';
        pen.fillText(name.length > room ? `${name.slice(0, room - 1)}…` : name, from + 3, y + ROW / 2);
      }
      if (focus && focus[0] === node && focus[1] === frame) {
        pen.strokeStyle = ink();
        pen.strokeRect(from + 1, y + 1, max(2, wide - 2), ROW - 3);
      }
      drawn.push([node, frame, from, wide, y]);
    }
  }

  function tell([node, frame]) {
    const { graph, widths, before, after } = view;
    const spell = value => `${weight(value, graph.unit)}/s`;
    const more = after && after[node] - before[node];
    const told = after
      ? `${spell(after[node])} in the second range, ${spell(before[node])} in the first: ${spell(abs(more))} ${more < 0 ? 'less' : 'more'}`
      : `${exact(widths[node], graph.unit)}, ${share(widths[node], widths[0])} of all${node ? `, ${share(widths[node], widths[graph.parent[node]])} of what it stands on` : ''}`;
    tip.textContent = `${nameAt(frame)}: ${told}`;
  }

  const at = e => drawn.find(([, , from, wide, y]) => e.offsetX >= from && e.offsetX < from + max(wide, 1) && e.offsetY >= y && e.offsetY < y + ROW - 1);

  function zoom(node) {
    zoomed = node;
    draw();
  }

  function moved([node, frame], key) {
    const { graph, widths } = view;
    if (key === (icicle ? 'ArrowDown' : 'ArrowUp')) {
      if (frame + 1 < graph.start[node + 1]) return [node, frame + 1];
      const best = children(node).reduce((best, child) => (widths[child] > (best ? widths[best] : 0) ? child : best), 0);
      return best ? [best, graph.start[best]] : [node, frame];
    }
    if (key === 'ArrowUp' || key === 'ArrowDown') {
      if (frame > graph.start[node]) return [node, frame - 1];
      const parent = graph.parent[node];
      return [parent, graph.start[parent + 1] - 1];
    }
    const siblings = children(graph.parent[node]).filter(child => widths[child] > 0);
    const next = siblings[siblings.indexOf(node) + (key === 'ArrowRight' ? 1 : -1)];
    return node && next ? [next, graph.start[next]] : [node, frame];
  }

  function show(place) {
    focus = place;
    tell(place);
    const middle = depthOf(...place) * ROW;
    const top = (icicle ? middle : space.clientHeight - middle) - scroll.scrollTop;
    if (top < ROW || top > scroll.clientHeight) scroll.scrollTop += top - scroll.clientHeight / 2;
    draw();
  }

  on(canvas, {
    pointermove: e => { const hit = at(e); if (hit) tell(hit); },
    click: e => {
      if (e.detail > 1 || !(clicked = at(e))) return;
      focus = clicked;
      zoom(clicked[0] === zoomed ? view.graph.parent[zoomed] : clicked[0]);
    },
    dblclick: () => { if (clicked?.[1] >= 0) act.sandwich(view.graph.frames[clicked[1]]); },
    blur: () => { focus = null; draw(); },
    keydown: e => {
      const place = focus || [0, -1];
      if (e.key.startsWith('Arrow')) show(moved(place, e.key));
      else if (e.key === 'Enter') zoom(place[0]);
      else if (e.key === 'Escape') zoom(0);
      else if (e.key === 's' && place[1] >= 0) act.sandwich(view.graph.frames[place[1]]);
      else return;
      e.preventDefault();
    },
  });
  on(scroll, { scroll: () => { if (scroll.scrollTop !== painted) draw(); } });
  redraws.push(draw);

  return {
    whole: el('div', {}, scroll, tip),
    // Shows something else; a zoom into another graph means nothing.
    follow: () => {
      const next = ask();
      if (view?.graph !== next.graph) [zoomed, focus, fresh] = [0, null, true];
      view = next;
      draw();
    },
    icicle: on => { [icicle, fresh] = [on, true]; draw(); },
    search: found => { if (match !== found) { match = found; draw(); } },
  };
}
