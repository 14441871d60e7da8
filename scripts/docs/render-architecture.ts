/** The parts of ARCHITECTURE.md that are made from the code: the table of folders and the graph of their imports. */
import { BANDS, FOLDER_CONTENT, PURE_FOLDERS } from '../architecture.ts';
import { folderOf, readSourceFiles, type SourceFile } from './source-imports.ts';

/** @param page the page as it is; what stands between the marks is replaced */
export function renderArchitecture(page: string): string {
  const files = readSourceFiles('src');
  return replacePart(replacePart(page, 'bands', bandTable(files)), 'graph', importGraph(files));
}

function replacePart(page: string, name: string, content: string): string {
  const [start, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`ARCHITECTURE.md lacks the marks ${start} and ${end}`);
  return `${page.slice(0, from + start.length)}\n${content}\n${page.slice(to)}`;
}

function bandTable(files: readonly SourceFile[]): string {
  const there = foldersOf(files);
  const rows = BANDS.toReversed().flatMap(({ name, folders }) =>
    Object.keys(folders)
      .filter((folder) => there.has(folder))
      .map(
        (folder, index) =>
          `| ${index === 0 ? `**${name}**` : ''} | \`${folder}\`${PURE_FOLDERS.includes(folder) ? ' (pure)' : ''} | ${FOLDER_CONTENT[folder] ?? ''} |`,
      ),
  );
  return ['| band | folder | holds |', '|---|---|---|', ...rows].join('\n');
}

/** Mermaid; an edge that follows from others is left out, and so is `base`, which all import. */
function importGraph(files: readonly SourceFile[]): string {
  const edges = reduced(importsOfFolders(files));
  const there = foldersOf(files);
  const bands = BANDS.toReversed()
    .map(({ name, folders }) => ({
      name,
      folders: Object.keys(folders).filter((folder) => there.has(folder) && folder !== 'base'),
    }))
    .filter(({ folders }) => folders.length > 0)
    .map(({ name, folders }) => `  subgraph band_${name}["${name}"]\n    ${folders.join('\n    ')}\n  end`);
  const arrows = [...edges].flatMap(([from, targets]) => targets.map((to) => `  ${from} --> ${to}`));
  return ['```mermaid', 'flowchart TD', ...bands, ...arrows.toSorted(), '```'].join('\n');
}

function foldersOf(files: readonly SourceFile[]): Set<string> {
  return new Set(files.map((file) => folderOf(file.path)));
}

function importsOfFolders(files: readonly SourceFile[]): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const file of files) {
    const from = folderOf(file.path);
    for (const to of file.imports.filter((path) => path.startsWith('src/')).map(folderOf)) {
      if (to === from || to === 'base') continue;
      edges.set(from, (edges.get(from) ?? new Set()).add(to));
    }
  }
  return edges;
}

/** Transitive reduction: keeps `a → c` only if there is no longer way from a to c. */
function reduced(edges: ReadonlyMap<string, ReadonlySet<string>>): Map<string, string[]> {
  const reaches = (from: string, to: string): boolean =>
    from === to || [...(edges.get(from) ?? [])].some((next) => reaches(next, to));
  return new Map(
    [...edges].map(([from, targets]) => [
      from,
      [...targets].filter((to) => ![...targets].some((other) => other !== to && reaches(other, to))),
    ]),
  );
}
