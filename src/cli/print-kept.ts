/** Reasons to keep images, and pushes that wait, as lines. */
import type { KeptImage, PushEntry } from '../api/registry-api.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { table } from './terminal.ts';

const SHOWN = 3;

export function printKept(context: CommandContext, images: readonly KeptImage[], json: boolean): void {
  if (json) return printJson(context, images);
  if (images.length === 0) return context.out.write('No images yet. Make one: kiln build .\n');
  const rows = images.map((image) => [
    image.repository,
    image.digest.slice(0, 19),
    image.pushedAt.slice(0, 16).replace('T', ' '),
    image.reasons.length === 0
      ? context.out.style('yellow', 'nothing: it goes with the next collection')
      : shorten(image.reasons),
  ]);
  context.out.write(`${table([['REPOSITORY', 'DIGEST', 'PUSHED', 'KEPT BY'], ...rows]).join('\n')}\n`);
}

/** One line: what became of a push that had failed. */
export function describePush(push: PushEntry): string {
  if (push.doneAt !== undefined)
    return `pushed to ${push.destination} at ${push.doneAt.slice(0, 16).replace('T', ' ')}, after ${push.attempts} attempts that failed`;
  return `waits to be pushed to ${push.destination}: ${push.attempts} attempts failed (${push.lastError.message}), next at ${push.nextAt.slice(0, 16).replace('T', ' ')}`;
}

function shorten(reasons: readonly string[]): string {
  const more = reasons.length - SHOWN;
  return reasons.slice(0, SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
