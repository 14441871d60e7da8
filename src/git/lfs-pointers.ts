/** Finds files whose content git-lfs would have to download: Kiln does not, because the repository names the server to ask. */
import { runLocalGit } from './git-session.ts';

const SHOWN = 5;

/** @returns one warning naming the files, or nothing */
export async function findLfsPointers(directory: string, signal?: AbortSignal): Promise<string[]> {
  const files = (
    await runLocalGit(['ls-files', '-z', '--', '.gitattributes', '**/.gitattributes'], {
      cwd: directory,
      signal,
    })
  ).stdout;
  if (files === '') return [];
  const { stdout } = await runLocalGit(['ls-files', '-z'], { cwd: directory, signal });
  const attributes = await runLocalGit(['check-attr', '-z', '--stdin', 'filter'], {
    cwd: directory,
    signal,
    stdin: stdout,
  });
  const fields = attributes.stdout.split('\0');
  const pointers: string[] = [];
  for (let index = 0; index + 2 < fields.length; index += 3) {
    if (fields[index + 2] === 'lfs') pointers.push(fields[index] ?? '');
  }
  if (pointers.length === 0) return [];
  const more = pointers.length > SHOWN ? ` and ${pointers.length - SHOWN} more` : '';
  return [
    `Git LFS content is not fetched, these files are pointers: ${pointers.slice(0, SHOWN).join(', ')}${more}`,
  ];
}
