/** The `config.json` of an OCI runtime bundle (runtime-spec 1.0) for one process of an image. Pure. */

export interface ContainerProcess {
  /** Entry point and arguments. */
  readonly args: readonly string[];
  /** `NAME=value` each. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
}

/** A host path shown inside the container, always read-only. */
export interface BindMount {
  readonly source: string;
  readonly destination: string;
}

export interface ContainerOptions {
  /** `strict`: read-only root, no capabilities, as a hardened cluster runs it. */
  readonly profile: 'default' | 'strict';
  /** `loopback`: a network of its own without a way out. */
  readonly network: 'loopback' | 'host';
  readonly hostname: string;
  readonly binds: readonly BindMount[];
  /** Folders that stay writable where the root is read-only, each an empty memory file system. Default: `/tmp`. */
  readonly writable?: readonly string[];
  readonly terminal?: boolean;
}

/** What Docker grants by default; `strict` grants nothing. */
const DEFAULT_CAPABILITIES = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FSETID', 'CAP_FOWNER', 'CAP_MKNOD', 'CAP_NET_RAW', 'CAP_SETGID',
  'CAP_SETUID', 'CAP_SETFCAP', 'CAP_SETPCAP', 'CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT', 'CAP_KILL', 'CAP_AUDIT_WRITE',
]; // prettier-ignore

const MASKED = [
  '/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list',
  '/proc/timer_stats', '/proc/sched_debug', '/sys/firmware', '/proc/scsi',
]; // prettier-ignore
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export function runtimeSpec(program: ContainerProcess, options: ContainerOptions): Record<string, unknown> {
  const strict = options.profile === 'strict';
  const capabilities = strict ? [] : DEFAULT_CAPABILITIES;
  // A process that is not root starts with an empty effective set, as under Docker.
  const effective = program.uid === 0 ? capabilities : [];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: options.terminal ?? false,
      user: { uid: program.uid, gid: program.gid },
      args: program.args,
      env: program.env,
      cwd: program.cwd,
      capabilities: { bounding: capabilities, effective, permitted: effective, inheritable: [] },
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: strict },
    hostname: options.hostname,
    mounts: [...kernelMounts(options, strict), ...options.binds.map(bindMount)],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', ...(options.network === 'loopback' ? ['network'] : [])].map(
        (type) => ({ type }),
      ),
      // As container engines do it: in a network of its own a program may have any port, whoever it runs as.
      ...(strict || options.network !== 'loopback'
        ? {}
        : { sysctl: { 'net.ipv4.ip_unprivileged_port_start': '0' } }),
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
    },
  };
}

function kernelMounts(options: ContainerOptions, strict: boolean): Record<string, unknown>[] {
  const tmpfs = (
    destination: string,
    mode: string,
    size: string,
    more: string[] = ['nodev'],
  ): Record<string, unknown> => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', ...more, `mode=${mode}`, `size=${size}`],
  });
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    tmpfs('/dev', '755', '65536k', []),
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    tmpfs('/dev/shm', '1777', '65536k'),
    ...(options.network === 'loopback'
      ? [
          {
            destination: '/sys',
            type: 'sysfs',
            source: 'sysfs',
            options: ['nosuid', 'noexec', 'nodev', 'ro'],
          },
        ]
      : []),
    // A read-only root is run with what the image declares as writable, as a cluster mounts a volume there.
    ...(strict ? (options.writable ?? ['/tmp']).map((folder) => tmpfs(folder, '1777', '1g')) : []),
  ];
}

function bindMount(bind: BindMount): Record<string, unknown> {
  return { ...bind, type: 'bind', options: ['bind', 'ro', 'nosuid', 'nodev'] };
}
