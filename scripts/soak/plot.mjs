// What a soak saw, over time: an SVG with a panel for each figure, and a mark for each fault.

const [WIDTH, HEIGHT, LEFT, TOP, GAP] = [860, 110, 90, 30, 34];
const PANELS = [
  { name: 'megabytes', title: 'resident memory of the agent, MB' },
  { name: 'descriptors', title: 'its descriptors' },
  { name: 'hosts', title: 'module hosts' },
  { name: 'delay', title: 'until it says that it lives, ms' },
];

export function plot(looks, faults) {
  const end = looks.at(-1)?.at ?? 1;
  const x = (at) => (LEFT + (Math.min(at, end) / end) * (WIDTH - LEFT - 20)).toFixed(1);
  const height = TOP + PANELS.length * (HEIGHT + GAP);
  const panels = PANELS.map(({ name, title }, index) => panel(looks, name, title, TOP + index * (HEIGHT + GAP), x));
  const marks = faults.map(
    ({ what, from }) =>
      `<line x1="${x(from)}" x2="${x(from)}" y1="${TOP}" y2="${height - GAP}" stroke="#e8b4b4"><title>${what}</title></line>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="8" y="18" font-size="14">${Math.round(end / 60)} minutes; each red line is a fault</text>
${marks.join('\n')}
${panels.join('\n')}
</svg>
`;
}

function panel(looks, name, title, top, x) {
  const most = Math.max(1, ...looks.map((look) => look[name]));
  const y = (value) => (top + HEIGHT - (value / most) * (HEIGHT - 16)).toFixed(1);
  const points = looks.map((look) => `${x(look.at)},${y(look[name])}`).join(' ');
  return `<text x="${LEFT}" y="${top + 8}">${title}</text>
<text x="${LEFT - 6}" y="${top + 20}" text-anchor="end">${most.toFixed(0)}</text>
<text x="${LEFT - 6}" y="${top + HEIGHT}" text-anchor="end">0</text>
<line x1="${LEFT}" x2="${WIDTH - 20}" y1="${top + HEIGHT}" y2="${top + HEIGHT}" stroke="#999"/>
<polyline points="${points}" fill="none" stroke="#4a7ebb"/>`;
}
