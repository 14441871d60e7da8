/** Versions and version ranges of Python packages, as far as released ones need it (PEP 440). */

/** Whether a released version lies in ranges such as `>=1.2,<2`, `==1.4.*`, `~=2.1`; anything else admits none. */
export function satisfiesPython(version: string, ranges: string): boolean {
  return ranges
    .split(',')
    .map((range) => range.trim())
    .filter((range) => range !== '')
    .every((range) => holds(version, range));
}

/** Negative where `a` is older. Versions before a release (`1.0rc1`, `1.0.dev2`) come before it. */
export function comparePython(a: string, b: string): number {
  const [left, right] = [parse(a), parse(b)];
  for (let at = 0; at < Math.max(left.numbers.length, right.numbers.length); at++) {
    const difference = (left.numbers[at] ?? 0) - (right.numbers[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.rank - right.rank || left.serial - right.serial;
}

export function isPrerelease(version: string): boolean {
  return parse(version).rank < 0;
}

const RANKS: readonly (readonly [RegExp, number])[] = [
  [/^[._-]?dev/, -4],
  [/^[._-]?a/, -3],
  [/^[._-]?b/, -2],
  [/^[._-]?(rc|c|pre)/, -1],
  [/^[._-]?(post|rev|r)|^-\d/, 1],
];

function parse(version: string): { numbers: readonly number[]; rank: number; serial: number } {
  const text = version.toLowerCase().replace(/^v/, '').replace(/^\d+!/, '').replace(/\+.*$/, '');
  const release = /^\d+(?:\.\d+)*/.exec(text)?.[0] ?? '0';
  const suffix = text.slice(release.length);
  return {
    numbers: release.split('.').map(Number),
    rank: RANKS.find(([pattern]) => pattern.test(suffix))?.[1] ?? 0,
    serial: Number(/(\d+)/.exec(suffix)?.[1] ?? 0),
  };
}

function holds(version: string, range: string): boolean {
  const match = /^(===?|~=|!=|<=|>=|<|>)\s*(\S+)$/.exec(range);
  const [, operator, wanted = ''] = match ?? [];
  if (operator === undefined) return false;
  if (wanted.endsWith('.*')) {
    const prefix = parse(wanted.slice(0, -2)).numbers;
    const same = prefix.every((number, at) => (parse(version).numbers[at] ?? 0) === number);
    return operator === '!=' ? !same : same;
  }
  const order = comparePython(version, wanted);
  switch (operator) {
    case '~=':
      return order >= 0 && holds(version, `==${wanted.replace(/\.\d+[^.]*$/, '')}.*`);
    case '!=':
      return order !== 0;
    case '<=':
      return order <= 0;
    case '>=':
      return order >= 0;
    case '<':
      return order < 0;
    case '>':
      return order > 0;
    default:
      return order === 0;
  }
}
