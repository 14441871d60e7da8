/** Failures of Nix itself: its store, its daemon, the disk below it. Pure. */
import { DISK_FULL_HINT, KilnError } from '../base/error.ts';

interface Ended {
  readonly exitCode: number;
  readonly stderr: string;
  readonly errors?: readonly string[];
}

/** Describes a program of Nix that ended badly for reasons of the machine, not of what it was asked. */
export function nixFailure(command: string, result: Ended): KilnError {
  const errors = result.errors ?? [];
  const text = (errors.length > 0 ? errors.join('\n') : result.stderr).trim();
  const lines = text.split('\n').slice(-12).join('\n');
  return (
    machineFailure(text) ??
    new KilnError('nix-failed', `${command} ended with exit code ${result.exitCode}`, { where: lines })
  );
}

/** The failures that any command can meet, or `undefined`. */
export function machineFailure(text: string): KilnError | undefined {
  const where = text.trim().split('\n').slice(-6).join('\n');
  if (/No space left on device|disk is full|database or disk is full|Disk quota exceeded/i.test(text)) {
    return new KilnError('disk-full', 'The disk is full', {
      where,
      hint: DISK_FULL_HINT,
    });
  }
  if (/cannot connect to socket|Nix daemon disconnected|unexpected end-of-file/.test(text)) {
    return new KilnError('nix-failed', 'The Nix daemon does not answer', {
      where,
      hint: 'Start it (`systemctl start nix-daemon`), or see its journal for why it ended.',
    });
  }
  if (
    /(?:opening lock file|creating directory|cannot open|opening file) .*(?:Permission denied|Read-only file system)/.test(
      text,
    )
  ) {
    return new KilnError('nix-failed', 'Nix may not write to its store', {
      where,
      hint: 'Run as root, or use the Nix daemon (`NIX_REMOTE=daemon`).',
    });
  }
  return undefined;
}
