// Makes the page live. Each page works without it: it puts in place what the server has rendered, and makes no line of a
// log and no state by itself. What it looks for, all of it optional:
//   html[data-assets]           an answer's X-Baton-Assets is another one: a new Baton, the page loads anew
//   main[data-live][data-url]   GET URL?part=1&v=TOKEN[&hold=25] gives 204, or the [data-part] that differ, whole; the new
//                               token is X-Baton-Token; Retry-After is obeyed. [data-part=head]: [data-title][data-icon]
//   time[datetime]              "10:00 UTC" becomes the reader's; [data-since], [data-ago] and progress[data-since] tick
//   #log[data-url][data-trace][data-offset][data-lines][data-state], in it .lines and .gap, [data-from][data-to] each:
//     ?from=N&to=M              one .lines; what it has of a section that began before is in a details.cont
//     ?after=OFFSET&trace=T&v=TOKEN&hold=25   204, or a .lines with what came, which has these five of #log, too
//     /search?q=TEXT|red=1&from=N             [data-line] for each hit; [data-next]: there are more, from there on
//   details.sec[data-from][data-to]           a section, up to before that line; [data-folded]: asks for it as it opens
//   [data-act], [data-key]      buttons for the script alone (hidden until it runs); what a key or "g o" presses
(() => {
'use strict';
const PIECE = 500, LINES_MAX = 10000, HOLD = '&hold=25', root = document.documentElement;
const $ = (query, within = document) => within.querySelector(query);
const $$ = (query, within = document) => [...within.querySelectorAll(query)];
const parse = text => new DOMParser().parseFromString(text, 'text/html');
const make = (tag, text, more) => Object.assign(document.createElement(tag), { textContent: text }, more);
const from = e => +e.dataset.from, to = e => +e.dataset.to, count = n => n.toLocaleString('en');
// A browser may refuse to keep anything.
const kept = name => { try { return localStorage.getItem('baton-' + name); } catch { return null; } };
const keep = (name, value) => { try { localStorage.setItem('baton-' + name, value); } catch { /* For this page only. */ } };
const darks = [...document.styleSheets].flatMap(sheet => [...sheet.cssRules]).filter(e => /scheme: dark/.test(e.conditionText));
function theme() {
  const is = root.dataset.theme = kept('theme') || 'auto';
  root.style.colorScheme = is === 'auto' ? '' : is;
  for (const { media } of darks) media.mediaText = { auto: '(prefers-color-scheme: dark)', dark: 'all', light: 'not all' }[is];
}
theme();
// Times: the reader's zone, by the server's clock.
let ahead = 0;
const now = () => Date.now() + ahead, two = n => String(n).padStart(2, '0');
const took = s => s < 60 ? `${s} s` : s < 3600 ? `${s / 60 | 0} min ${two(s % 60)} s`
  : s < 86400 ? `${s / 3600 | 0} h ${two(s / 60 % 60 | 0)} min` : `${s / 86400 | 0} d ${s / 3600 % 24 | 0} h`;
const ago = s => s < 5 ? 'now' : `${s < 60 ? s + ' s' : s < 3600 ? (s / 60 | 0) + ' min'
  : s < 86400 ? (s / 3600 | 0) + ' h' : (s / 86400 | 0) + ' d'} ago`;
const since = date => Math.max(0, Math.floor((now() - Date.parse(date)) / 1000));
const write = (e, text) => { if (e && e.textContent !== text) e.textContent = text; };
function tick() {
  for (const e of $$('progress[data-since]')) e.value = Math.min(e.max, since(e.dataset.since));
  for (const e of $$('time[data-since]')) write(e, took(since(e.dataset.since)));
  for (const e of $$('time[data-ago]')) write(e, ago(since(e.dateTime)));
  if (lost) say();
}
function local(date, words) {
  const today = new Date(now()), year = date.getFullYear() !== today.getFullYear();
  const day = year || date.toDateString() !== today.toDateString();
  return date.toLocaleString('en-GB', { hour: '2-digit', minute: '2-digit', second: /:\d\d:/.test(words) ? '2-digit' : undefined,
    ...(day && { day: 'numeric', month: 'short' }), ...(year && { year: 'numeric' }) });
}
function zone(within) {
  const utc = kept('zone') === 'utc';
  for (const e of $$('time[datetime]', within)) {
    if (!e.dataset.utc && /UTC$/.test(e.textContent)) e.dataset.utc = e.textContent;
    if (!e.dataset.utc) continue;
    e.title = e.dataset.utc;
    if (!('ago' in e.dataset)) write(e, utc ? e.dataset.utc : local(new Date(e.dateTime), e.dataset.utc));
  }
}
function feet() {
  const utc = kept('zone') === 'utc', m = -new Date().getTimezoneOffset(), h = Math.abs(m) / 60 | 0;
  const name = 'UTC' + (m ? (m < 0 ? '−' : '+') + h + (m % 60 ? ':' + two(Math.abs(m) % 60) : '') : '');
  const link = (text, act) => make('button', text, { type: 'button', className: 'link', onclick: act });
  $('#zone')?.replaceChildren(utc ? 'Times are UTC. ' : `Times are yours (${name}). `,
    link(utc ? 'Show yours' : 'Show UTC', () => { keep('zone', utc ? '' : 'utc'); zone(document); feet(); }));
  const next = { auto: 'dark', dark: 'light', light: 'auto' }, words = { auto: 'as the system', dark: 'dark', light: 'light' };
  $('#theme')?.replaceChildren('Colours: ',
    link(words[root.dataset.theme], () => { keep('theme', next[root.dataset.theme]); theme(); feet(); }));
  $('#keys')?.replaceChildren(link('Keys: ?', help));
}
// Live: one held request while the page is seen.
let main, held, timer, lost = 0, why = '', heard = Date.now(), fails = 0, hiddenAt = 0, isFirst = true;
// A new Baton: loads the page anew, once, and not while somebody types or copies.
function anew(assets) {
  const isInUse = document.activeElement?.matches('input,textarea,select') || !getSelection().isCollapsed;
  if (isInUse || sessionStorage.getItem('baton-anew') === assets) return;
  sessionStorage.setItem('baton-anew', assets);
  location.reload();
}
function say() {
  const e = $('.live');
  e?.removeAttribute('hidden');
  e?.classList.toggle('lost', lost > 0);
  write(e, lost ? `not live: ${why || `no answer from the server for ${took(Math.round((Date.now() - lost) / 1000))}`}` : 'live');
}
async function ask(url, signal) {
  const answer = await fetch(url, { cache: 'no-store', redirect: 'manual', signal });
  const date = Date.parse(answer.headers.get('Date')), assets = answer.headers.get('X-Baton-Assets');
  if (date) ahead = date - Date.now();
  if (answer.type === 'opaqueredirect' || [401, 403, 404].includes(answer.status)) why = 'sign in again, or go back';
  if (answer.status !== 200 && answer.status !== 204) throw Error(answer.status);
  if (assets && root.dataset.assets && assets !== root.dataset.assets) anew(assets);
  const told = name => answer.headers.get(name);
  return { text: await answer.text(), token: told('X-Baton-Token'), after: told('Retry-After') * 1000 };
}
const add = (url, query) => url + (url.includes('?') ? '&' : '?') + query;
async function parts(hold, signal) {
  const answer = await ask(add(main.dataset.url, `part=1&v=${encodeURIComponent(main.dataset.live)}${hold}`), signal);
  main.dataset.live = answer.token || main.dataset.live;
  take(answer.text);
  return answer;
}
async function tail(hold, signal) {
  const d = log.dataset, query = `after=${d.offset}&trace=${d.trace}&v=${encodeURIComponent(main.dataset.live)}${hold}`;
  const answer = await ask(add(d.url, query), signal), fresh = $('.lines', parse(answer.text)), began = performance.now();
  if (fresh) append(fresh);
  // What it costs to show a flood is spent again on everything else.
  const cost = 2 * (performance.now() - began);
  if (answer.token !== main.dataset.live) await parts('', signal);
  return { ...answer, after: Math.max(answer.after, Math.min(cost, 1000)) };
}
async function round() {
  pause();
  if (!main) return;
  const own = held = new AbortController(), began = Date.now(), hold = isFirst || document.hidden ? '' : HOLD;
  let wait;
  try {
    const answer = await (isGrowing() && !document.hidden ? tail : parts)(hold, own.signal);
    [isFirst, lost, fails, heard] = [false, 0, 0, Date.now()];
    wait = Math.max(answer.after, hold && !answer.text && heard - began < 1000 ? 3000 : 100);
    if (document.hidden) wait = Date.now() - hiddenAt < 600000 ? 15000 : 60000;
  } catch {
    if (own.signal.aborted) return;
    [lost, wait] = [lost || heard, Math.min(2 ** fails++, 30) * 1000];
  }
  say();
  if (held === own && !why) timer = setTimeout(round, wait);
}
const pause = () => { clearTimeout(timer); held = held?.abort(); };
// Parts: put in place when neither the focus nor a selection is inside.
const waiting = new Map();
function take(text) {
  for (const e of $$('[data-part]', parse(text))) waiting.set(e.dataset.part, e);
  settle();
}
function settle() {
  for (const [name, fresh] of waiting) {
    if (name === 'head') { head(fresh.dataset); waiting.delete(name); continue; }
    const old = $(`[data-part="${name}"]`), marked = getSelection(), place = old || main;
    if (place.contains(document.activeElement) || !marked.isCollapsed && marked.containsNode(place, true)) continue;
    if (!old) return void renew();
    morph(old, fresh);
    waiting.delete(name);
    wake(old);
  }
}
// A part without a place: the page has other parts now.
async function renew() {
  waiting.clear();
  const fresh = $('main', parse((await ask(main.dataset.url)).text));
  morph(main, fresh);
  wake(main);
}
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh);
  if (old.nodeType !== 1) { if (old.data !== fresh.data) old.data = fresh.data; return; }
  if (old.id === 'log') return;
  const own = e => [...e.attributes].filter(({ name }) => name !== 'open' || e.tagName !== 'DETAILS');
  for (const { name } of own(old)) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of own(fresh)) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const olds = [...old.childNodes], news = [...fresh.childNodes];
  news.forEach((e, at) => olds[at] ? morph(olds[at], e) : old.append(e));
  olds.slice(news.length).forEach(e => e.remove());
}
function head({ title, icon }) {
  const shape = icon && document.getElementById(icon);
  document.title = title;
  const like = { pend: 'wait', warn: 'wait', pause: 'wait', need: 'off', cancel: 'off', skip: 'off', gone: 'off', on: 'ok' };
  const colour = getComputedStyle(root).getPropertyValue('--' + (like[icon] || icon)).trim() || 'gray';
  const svg = shape && `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" color="${colour}">`
    + '<style>.cut{stroke:#fff;fill:none}.cutf{fill:#fff}</style>' + shape.innerHTML + '</svg>';
  const link = $('link[rel=icon]'), url = 'data:image/svg+xml,' + encodeURIComponent(svg);
  if (link && shape) link.href = url;
}
function wake(within) {
  zone(within);
  if (!log?.isConnected) openLog();
  for (const e of $$('[data-act]', within)) { e.hidden = false; press(e); }
  tick();
}
// The log: pieces and gaps, and its end while it grows.
let log, newer, isFollowing = false, seen = 0, moved = 0, pointed = 0, later, lead = '', hits = null;
const isGrowing = () => log && /^(running|canceling)$/.test(log.dataset.state);
const isAtEnd = () => log.getBoundingClientRect().bottom <= innerHeight + 30;
const lineAt = n => document.getElementById('L' + n);
const setFollowing = is => { isFollowing = is; $$('[data-act=follow]').forEach(press); news(); };
const toEnd = () => scrollBy(0, Math.max(0, log.getBoundingClientRect().bottom - innerHeight + 8));
// What somebody is about to press stays under the pointer.
const isAimed = () => Date.now() - pointed < 500 && $(':is(a, button, summary, input):hover');
function keepUp() {
  clearTimeout(later);
  if (isFollowing) isAimed() ? later = setTimeout(keepUp, 250) : toEnd();
}
function news() {
  if (isFollowing || !isGrowing()) seen = +log.dataset.lines || 0;
  const n = log.dataset.lines - seen;
  newer.hidden = !(n > 0);
  write(newer, `${count(n)} new line${n === 1 ? '' : 's'}`);
}
function gap(a, b) {
  const e = make('div', '', { className: 'gap' }), link = (text, n) => make('a', text, { href: `?line=${n}#L${n}` });
  Object.assign(e.dataset, { from: a, to: b });
  e.append(make('span', `${count(b - a + 1)} lines are not on the page.`), link(`From line ${count(a)}`, a));
  if (b - a >= PIECE) e.append(link(`${PIECE} up to line ${count(b)}`, b));
  return e;
}
// Keeps what is in view where it is, in browsers that do not by themselves.
function steady(change) {
  const mark = CSS.supports('overflow-anchor', 'auto') ? null : document.elementFromPoint(innerWidth / 2, innerHeight / 2);
  const top = mark?.getBoundingClientRect().top;
  change();
  if (mark?.isConnected) scrollBy(0, mark.getBoundingClientRect().top - top);
}
function join(piece, fresh) {
  const last = piece.lastElementChild, first = $(':scope > :not(summary)', fresh);
  if (first?.matches('details.cont') && last?.dataset.from === first.dataset.from) { join(last, first); first.remove(); }
  piece.append(...[...fresh.childNodes].filter(e => e.nodeName !== 'SUMMARY'));
}
function append(fresh) {
  const known = log.dataset, told = fresh.dataset, a = from(fresh), b = to(fresh);
  if (told.trace !== known.trace) $$('.lines, .gap', log).forEach(e => e.remove());
  for (const name of ['trace', 'offset', 'lines', 'state']) if (told[name]) known[name] = told[name];
  for (const [, n, note] of told.wentOn?.matchAll(/^(\d+) (.+)$/gm) || []) write($(`#S${n} > .num`), note);
  if (b >= a) steady(() => {
    // The line that had no end is told again.
    for (let n = a, e; (e = lineAt(n)?.closest('.l, details')); n++) {
      while (e.nextElementSibling?.matches('.l:not([id])')) e.nextElementSibling.remove();
      e.remove();
    }
    let last = $$(':scope > .lines, :scope > .gap', log).pop();
    const end = last ? Math.min(to(last), a - 1) : 0;
    if (a > end + 1) { const more = gap(end + 1, a - 1); last ? last.after(more) : log.prepend(more); last = more; }
    const isFull = !last?.matches('.lines') || $$('.l', last).length + $$('.l', fresh).length > PIECE;
    if (!isFull) { join(last, fresh); last.dataset.to = b; } else last ? last.after(fresh) : log.prepend(fresh);
    letGo();
    $('#end')?.replaceChildren();
  });
  write($('.where .num'), count(+known.lines));
  news();
  keepUp();
}
// Lets go of the pieces that are farthest from what is in view, never of that or its neighbours.
function letGo(spared) {
  let lines = $$('.l', log).length;
  const far = ({ top, bottom, height }) => height ? Math.max(top - innerHeight, -bottom) : Infinity;
  const all = $$('.lines', log).map(e => [far(e.getBoundingClientRect()), e]).sort((a, b) => b[0] - a[0]);
  for (const [distance, piece] of all) {
    if (lines <= LINES_MAX || distance < innerHeight) return;
    if (piece === spared) continue;
    lines -= $$('.l', piece).length;
    const { previousElementSibling: before, nextElementSibling: after } = piece, isGap = e => e?.matches('.gap');
    piece.replaceWith(gap(isGap(before) ? from(before) : from(piece), isGap(after) ? to(after) : to(piece)));
    for (const e of [before, after]) if (isGap(e)) e.remove();
  }
}
const isFolded = e => 'folded' in e.dataset && to(e) > from(e);
// Asks for the lines around line `n`, as far as they are not on the page.
async function load(n) {
  const has = e => from(e) <= n && n <= to(e), folded = $$('details', log).find(e => isFolded(e) && has(e) && n < to(e));
  if (folded) { delete folded.dataset.folded; folded.append(gap(from(folded), to(folded) - 1)); }
  const missing = $$('.gap', log).find(has);
  if (!missing || missing.dataset.asked) return;
  missing.dataset.asked = 1;
  const a = from(missing), b = to(missing);
  const first = Math.max(a, Math.min(n - PIECE / 2, b - PIECE + 1)), last = Math.min(b, first + PIECE - 1);
  try {
    const piece = $('.lines', parse((await ask(add(log.dataset.url, `from=${first}&to=${last}`))).text));
    if (!piece || !missing.isConnected) return;
    // The section that it stands in needs no second head.
    for (let e; (e = piece.firstElementChild)?.matches('details') && missing.closest(`details[data-from="${from(e)}"]`);) {
      e.replaceWith(...[...e.childNodes].slice(1));
    }
    const above = from(piece) > a ? [gap(a, from(piece) - 1)] : [], below = to(piece) < b ? [gap(to(piece) + 1, b)] : [];
    steady(() => missing.replaceWith(...above, piece, ...below));
    letGo(piece);
  } finally { delete missing.dataset.asked; }
}
async function go(n) {
  setFollowing(false);
  for (let tries = 0; tries < 4 && !lineAt(n); tries++) await load(n);
  const line = lineAt(n)?.closest('.l, summary');
  for (let e = line; (e = e?.parentElement?.closest('details'));) e.open = true;
  $$('.on', log).forEach(e => e.classList.remove('on'));
  line?.classList.add('on');
  const { top = 0, bottom = 0 } = line?.getBoundingClientRect() || {};
  if (top < 100 || bottom > innerHeight) line?.scrollIntoView({ block: 'center' });
}
const goHash = () => { const n = /^#[LS](\d+)$/.exec(location.hash); if (log && n) go(+n[1]); };
async function more() {
  const page = parse((await ask(add(log.dataset.url.replace(/(\?|$)/, '/search$1'), `${hits.of}&from=${hits.next}`))).text);
  hits.lines.push(...$$('[data-line]', page).map(e => +e.dataset.line));
  hits.next = +$('[data-next]', page)?.dataset.next || 0;
}
async function seek(of) {
  const own = hits = { of, lines: [], at: -1, next: 1 };
  while (own === hits && !own.lines.length && own.next) await more();
  if (of === 'red=1') own.at = own.lines.filter(line => line <= (+$('.on', log)?.id.slice(1) || 0)).length - 1;
}
async function step(by) {
  if (!log) return;
  if (!hits) await seek('red=1');
  while (hits.at + by >= hits.lines.length && hits.next) await more();
  const n = hits.lines.length;
  hits.at = n ? (Math.max(hits.at, by < 0 ? 0 : -1) + by + n) % n : -1;
  write($('.find output'), n ? `${count(hits.at + 1)} of ${count(n)}${hits.next ? '+' : ''}` : 'nothing found');
  if (n) await go(hits.lines[hits.at]);
}
function openLog() {
  if (!(log = $('#log'))) return;
  newer = make('button', '', { className: 'newer', type: 'button', hidden: true, onclick: () => acts.follow(true) });
  log.append(newer);
  // Pieces get their true heights when they come into view.
  new ResizeObserver(keepUp).observe(log);
  for (const name of ['notime', 'nowrap']) log.classList.toggle(name, kept(name) === 'yes');
  seen = +log.dataset.lines || 0;
  // A section may have been opened while the page was still on its way.
  $$('details.sec[open]', log).filter(isFolded).forEach(e => load(from(e)));
  if (/^#[LS]\d/.test(location.hash)) goHash();
  else if (isGrowing() && !/[?&]line=/.test(location.search)) acts.follow(true);
}
// Buttons, keys, and what the browser tells.
const flip = name => { const is = log.classList.toggle(name); keep(name, is ? 'yes' : ''); $$('[data-act]').forEach(press); };
const acts = {
  next: () => step(1), prev: () => step(-1), time: () => flip('notime'), wrap: () => flip('nowrap'),
  async follow(on) {
    if (!log) return;
    if (on !== true && isFollowing) return setFollowing(false);
    if ($$('.lines, .gap', log).pop()?.matches('.gap')) await load(+log.dataset.lines);
    toEnd();
    setFollowing(isGrowing());
  },
};
const pressed = { follow: () => isFollowing, time: () => !log.matches('.notime'), wrap: () => !log.matches('.nowrap') };
const press = e => { const is = log && pressed[e.dataset.act]; if (is) e.setAttribute('aria-pressed', is()); };
const keys = { n: acts.next, N: acts.prev, f: acts.follow, '/': () => ($('.find input') || $('.jump'))?.focus(), '?': help };
function help() {
  const box = make('dialog', '', { className: 'help', onclose: () => box.remove() }), list = make('dl', '', { className: 'kv' });
  const of = e => [e.dataset.key, e.getAttribute('aria-label') || e.title || e.textContent];
  const all = [['/', 'find'], ['n N', 'next hit or red line, the one before'], ['f', 'follow the log'],
    ...$$('[data-key]').map(of), ['?', 'this']];
  for (const [key, words] of all) list.append(make('dt', key), make('dd', words));
  const on = make('input', '', { type: 'checkbox', checked: kept('keys') !== 'off' });
  on.onchange = () => keep('keys', on.checked ? '' : 'off');
  const label = make('label', ''), form = make('form', '', { method: 'dialog' });
  label.append(on, ' Keys are on');
  form.append(make('button', 'Close', { className: 'btn' }));
  box.append(make('h2', 'Keys'), list, label, form);
  document.body.appendChild(box).showModal();
}
const move = () => { moved = Date.now(); };
// Not before all of the page is there: a section tells that it is open before it has its lines.
function listen() {
  addEventListener('keydown', e => {
    move();
    const field = e.target.closest?.('input,textarea,select,dialog');
    if (e.key === 'Escape') field?.blur();
    if (e.ctrlKey || e.altKey || e.metaKey || field) return;
    if (kept('keys') === 'off' && e.key !== '?') return;
    const key = lead + e.key, act = Object.hasOwn(keys, key) ? keys[key] : $(`[data-key="${CSS.escape(key)}"]`);
    lead = e.key === 'g' && !lead ? 'g ' : '';
    if (act) e.preventDefault();
    act?.click ? act.click() : act?.();
  });
  for (const name of ['wheel', 'touchmove', 'touchend', 'pointerdown']) addEventListener(name, move, { passive: true });
  addEventListener('pointermove', () => { pointed = Date.now(); }, { passive: true });
  addEventListener('scroll', () => {
    // Only who moves the page ends following; what comes in does not.
    const isReader = Date.now() - moved < 1000;
    if (isReader) move();
    if (log && (isAtEnd() ? !isFollowing && isGrowing() : isFollowing && isReader)) setFollowing(!isFollowing);
  }, { passive: true });
  addEventListener('click', e => {
    const button = e.target.closest('[data-act]'), link = e.target.closest('a[href*="#"]');
    if (button) acts[button.dataset.act]?.();
    if (!log || link?.pathname !== location.pathname || e.ctrlKey || e.metaKey || e.shiftKey) return;
    const n = +/^#[LS](\d+)$/.exec(link.hash)?.[1], missing = link.closest('.gap');
    if (!n && link.hash !== '#end') return;
    e.preventDefault();
    if (!n) return void acts.follow(true);
    // What is asked for from below comes above what is read, which stays.
    if (missing && n !== from(missing)) return void load(n);
    history.pushState(null, '', link.hash);
    go(n);
  });
  addEventListener('toggle', e => { if (e.target.open && isFolded(e.target)) load(from(e.target)); }, true);
  addEventListener('submit', e => {
    if (e.target.matches('.find') && log) {
      e.preventDefault();
      const of = 'q=' + encodeURIComponent($('input', e.target).value);
      if (of === 'q=') hits = null;
      else if (hits?.of === of) step(1);
      else seek(of).then(() => step(1));
    } else if (e.target.method === 'post') { pause(); timer = setTimeout(round, 5000); }
  }, true);
  addEventListener('hashchange', goHash);
  addEventListener('pagehide', pause);
  addEventListener('pageshow', e => { if (e.persisted) round(); });
  addEventListener('online', () => round());
  document.addEventListener('visibilitychange', () => { hiddenAt = Date.now(); round(); });
  document.addEventListener('selectionchange', () => waiting.size && settle());
  document.addEventListener('focusout', () => waiting.size && setTimeout(settle));
}
function start() {
  main = $('main[data-live]');
  listen();
  feet();
  wake(document);
  setInterval(tick, 1000);
  round();
}
document.readyState === 'loading' ? addEventListener('DOMContentLoaded', start) : start();
})();
