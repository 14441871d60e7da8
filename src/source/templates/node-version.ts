/** Which Node.js an application asks for, and which of the packaged ones that is. */
import type { TreeReader } from '../tree/tree-reader.ts';
import type { PackageJson } from './package-json.ts';

/** Packaged versions, the preferred one first. */
const NODE_MAJORS = [24, 22, 20] as const;

export interface NodeChoice {
  readonly major: number;
  readonly why: string;
}

export async function chooseNode(tree: TreeReader, manifest: PackageJson): Promise<NodeChoice> {
  for (const file of ['.nvmrc', '.node-version']) {
    const wanted = (await tree.read(file))?.trim();
    if (wanted !== undefined && wanted !== '') return fromWish(wanted, file);
  }
  const engine = manifest.engines?.['node'];
  if (engine !== undefined) return fromWish(engine, 'package.json engines');
  return { major: NODE_MAJORS[0], why: `Node.js ${NODE_MAJORS[0]}: nothing asks for another` };
}

function fromWish(wish: string, where: string): NodeChoice {
  const lts: Readonly<Record<string, number>> = {
    'lts/*': 24,
    'lts/krypton': 24,
    'lts/jod': 22,
    'lts/iron': 20,
    node: 24,
  };
  const range = lts[wish.toLowerCase()] === undefined ? wish : `^${lts[wish.toLowerCase()]}`;
  const major = NODE_MAJORS.find((candidate) => satisfiesMajor(candidate, range));
  if (major !== undefined) return { major, why: `Node.js ${major}: ${where} asks for ${wish}` };
  return {
    major: NODE_MAJORS[0],
    why: `Node.js ${NODE_MAJORS[0]}, although ${where} asks for ${wish}, which is not packaged`,
  };
}

/** Whether some release of the major version lies in the range; minor and patch are the package set's business. */
export function satisfiesMajor(major: number, range: string): boolean {
  return range.split('||').some((alternative) => {
    const text = alternative.replace(/([<>=^~]+)\s+/g, '$1').trim();
    const between = /^v?(\d+)[\w.]*\s+-\s+v?(\d+)/.exec(text);
    if (between !== null) return major >= Number(between[1]) && major <= Number(between[2]);
    return text.split(/\s+/).every((part) => comparatorHolds(major, part));
  });
}

function comparatorHolds(major: number, part: string): boolean {
  const match = /^(>=|<=|>|<|=|\^|~>?)?v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?/.exec(part);
  if (match === null || match[2] === undefined || /[xX*]/.test(match[2])) return true;
  const wanted = Number(match[2]);
  switch (match[1]) {
    case '>=':
      return major >= wanted;
    case '>':
      return match[3] === undefined ? major > wanted : major >= wanted;
    case '<=':
      return major <= wanted;
    case '<':
      return Number(match[3] ?? 0) > 0 || Number(match[4] ?? 0) > 0 ? major <= wanted : major < wanted;
    default:
      return major === wanted;
  }
}
