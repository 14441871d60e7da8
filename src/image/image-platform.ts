/** Nix systems as platforms of the image specification (GOARCH names). */
import { KilnError } from '../base/error.ts';

export interface ImagePlatform {
  readonly os: 'linux';
  readonly architecture: string;
  readonly variant?: string;
  /** `e_machine` of the ELF programs of this platform. */
  readonly machine: number;
}

const PLATFORMS: Readonly<Record<string, ImagePlatform>> = {
  'x86_64-linux': { os: 'linux', architecture: 'amd64', machine: 62 },
  'i686-linux': { os: 'linux', architecture: '386', machine: 3 },
  'aarch64-linux': { os: 'linux', architecture: 'arm64', machine: 183 },
  'armv7l-linux': { os: 'linux', architecture: 'arm', variant: 'v7', machine: 40 },
  'armv6l-linux': { os: 'linux', architecture: 'arm', variant: 'v6', machine: 40 },
  'riscv64-linux': { os: 'linux', architecture: 'riscv64', machine: 243 },
  'powerpc64le-linux': { os: 'linux', architecture: 'ppc64le', machine: 21 },
  's390x-linux': { os: 'linux', architecture: 's390x', machine: 22 },
};

/** @throws KilnError image-failed for systems that have no containers */
export function imagePlatform(system: string): ImagePlatform {
  const platform = PLATFORMS[system];
  if (platform !== undefined) return platform;
  throw new KilnError('image-failed', `There are no container images for ${system}`, {
    hint: `Build for one of ${Object.keys(PLATFORMS).join(', ')}.`,
  });
}
