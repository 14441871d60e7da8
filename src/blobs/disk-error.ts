/** What a failed file operation means to whoever stores bytes. */
import { KilnError, systemErrorCode } from '../base/error.ts';

/** Turns "no space" in its three forms into `disk-full`; anything else is returned as it is. */
export function diskError(error: unknown, doing: string): unknown {
  const code = systemErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new KilnError('disk-full', `No space is left ${doing}`, {
      hint: 'Free disk space or raise the quota, then try again. `kiln cache gc` frees what is no longer used.',
      cause: error,
    });
  }
  return error;
}
