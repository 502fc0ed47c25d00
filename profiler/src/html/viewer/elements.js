// Elements. Text is only ever set as text.

const page = document.getElementById('page');

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) on(made, { [name.slice(2)]: value });
    else if (name === 'class') made.className = value;
    else if (value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child ?? false));
  return made;
}

function on(target, listeners) {
  for (const [kinds, listener] of Object.entries(listeners)) for (const kind of kinds.split(' ')) target.addEventListener(kind, listener);
}

const button = (text, onclick, more = {}) => el('button', { type: 'button', onclick, ...more }, text);

const controls = (...children) => el('div', { class: 'controls' }, ...children);
const note = text => el('p', { class: 'note' }, text);
const hint = text => el('p', { class: 'hint' }, text);

function section(id, title, ...children) {
  const made = el('section', { id, 'aria-labelledby': `${id}-title` }, el('h2', { id: `${id}-title` }, title), ...children);
  page.append(made);
  return made;
}

function select(label, options, onchange) {
  const list = el('select', { onchange: () => onchange(list.value) });
  for (const [value, text] of options) list.append(el('option', { value }, text));
  return [el('label', {}, `${label} `, list), list];
}

function checkbox(label, onchange) {
  const box = el('input', { type: 'checkbox', onchange: () => onchange(box.checked) });
  return el('label', {}, box, ` ${label}`);
}

const asideBox = onchange => checkbox('with idle and user locks', onchange);

// A canvas of the width it has and a height, sharp on every screen; gives its context, width and height.
function prepared(canvas, height) {
  const width = max(1, floor(canvas.parentElement.clientWidth));
  const ratio = min(devicePixelRatio, 3);
  canvas.style.height = `${height}px`;
  [canvas.width, canvas.height] = [round(width * ratio), round(height * ratio)];
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  pen.font = '11px monospace';
  pen.textBaseline = 'middle';
  return [pen, width];
}

let printing = false;
const scheme = matchMedia('(prefers-color-scheme: dark)');
let dark = scheme.matches;
const ink = () => (dark ? '#ddd' : '#222');
const faint = () => (dark ? '#444' : '#ccc');
const redraws = [];
const redrawAll = () => {
  dark = scheme.matches && !printing;
  redraws.forEach(redraw => redraw());
};
