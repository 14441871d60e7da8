/** Evaluates the environment markers of Python requirements (PEP 508) for one Python on Linux. */

export interface MarkerEnvironment {
  /** `3.13`. */
  readonly python: string;
  /** `x86_64`, `aarch64`. */
  readonly machine: string;
}

/** Undefined where the marker is not understood. */
export function evaluateMarker(marker: string, environment: MarkerEnvironment): boolean | undefined {
  const tokens = marker.match(/\(|\)|'[^']*'|"[^"]*"|[<>=!~]=?=?|[\w.]+/g) ?? [];
  const variables = variablesOf(environment);
  let at = 0;
  const either = (): boolean | undefined => {
    let result = both();
    while (tokens[at] === 'or') {
      at++;
      const right = both();
      result =
        result === true || right === true
          ? true
          : result === undefined || right === undefined
            ? undefined
            : false;
    }
    return result;
  };
  const both = (): boolean | undefined => {
    let result = single();
    while (tokens[at] === 'and') {
      at++;
      const right = single();
      result =
        result === false || right === false
          ? false
          : result === undefined || right === undefined
            ? undefined
            : true;
    }
    return result;
  };
  const single = (): boolean | undefined => {
    if (tokens[at] === '(') {
      at++;
      const inner = either();
      at++;
      return inner;
    }
    const [left, operator] = [tokens[at++], tokens[at++]];
    const negated = operator === 'not' ? tokens[at++] : operator;
    return compare(
      valueOf(left, variables),
      operator === 'not' ? 'not in' : (negated ?? ''),
      valueOf(tokens[at++], variables),
      isVersion(left) || isVersion(tokens[at - 1]),
    );
  };
  const result = either();
  return at === tokens.length ? result : undefined;
}

function variablesOf({ python, machine }: MarkerEnvironment): Readonly<Record<string, string>> {
  return {
    python_version: python,
    python_full_version: `${python}.0`,
    sys_platform: 'linux',
    platform_system: 'Linux',
    os_name: 'posix',
    platform_machine: machine,
    platform_python_implementation: 'CPython',
    implementation_name: 'cpython',
    implementation_version: `${python}.0`,
    extra: '',
  };
}

function isVersion(token: string | undefined): boolean {
  return token === 'python_version' || token === 'python_full_version' || token === 'implementation_version';
}

function valueOf(token: string | undefined, variables: Readonly<Record<string, string>>): string | undefined {
  if (token === undefined) return undefined;
  return /^['"]/.test(token) ? token.slice(1, -1) : variables[token];
}

function compare(
  left: string | undefined,
  operator: string,
  right: string | undefined,
  versions: boolean,
): boolean | undefined {
  if (left === undefined || right === undefined) return undefined;
  if (operator === 'in') return right.split(/[\s,]+/).includes(left);
  if (operator === 'not in') return !right.split(/[\s,]+/).includes(left);
  const order = versions ? compareVersions(left, right) : left < right ? -1 : left > right ? 1 : 0;
  switch (operator) {
    case '==':
    case '===':
      return right.endsWith('.*') ? `${left}.`.startsWith(right.slice(0, -1)) : order === 0;
    case '!=':
      return right.endsWith('.*') ? !`${left}.`.startsWith(right.slice(0, -1)) : order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
    case '~=':
      return order >= 0 && left.split('.')[0] === right.split('.')[0];
    default:
      return undefined;
  }
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number.parseFloat), b.split('.').map(Number.parseFloat)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
