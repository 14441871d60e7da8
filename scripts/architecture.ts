/** The bands of src/, lowest first. The test holds the code to them; the page's graph is made from them. */

export interface Band {
  readonly name: string;
  /** Folder → the folders of the same band that it may import. Everything in lower bands is allowed. */
  readonly folders: Readonly<Record<string, readonly string[]>>;
}

export const BANDS: readonly Band[] = [
  { name: 'base', folders: { base: [] } },
  { name: 'formats', folders: { store: [], oci: ['store'] } },
  {
    name: 'adapters',
    folders: {
      process: [],
      config: [],
      nix: ['process'],
      git: ['process', 'config'],
      debian: ['process'],
      npm: [],
      runtime: ['process'],
      blobs: [],
      db: ['process'],
      http: [],
    },
  },
  {
    name: 'domain',
    folders: {
      setup: [],
      basis: ['setup'],
      source: ['basis', 'setup'],
      build: ['source'],
      image: [],
      catalog: [],
    },
  },
  { name: 'pipeline', folders: { pipeline: [] } },
  { name: 'edges', folders: { cache: [], registry: [], api: [] } },
  { name: 'programs', folders: { app: [], library: ['app'], cli: ['app', 'library'] } },
];

/** No input, no output, no clock. */
export const PURE_FOLDERS: readonly string[] = ['base', 'store', 'oci'];

/** What stands in each folder, in one line. */
export const FOLDER_CONTENT: Readonly<Record<string, string>> = {
  base: 'errors, names for checked strings, units, secrets, the clock',
  store: "Nix's formats: base-32, store path, NAR, narinfo, signature, derivation, closure",
  oci: 'OCI formats: digest, reference, manifest, index, config, tar header, layer plan and recipe',
  process: 'starts programs with a signal, deadlines and lines; ends whole trees; locks between processes',
  config: 'the schemas of both `kiln.toml` files and the environment, loading, the reference page',
  nix: 'evaluates, builds and adds to the store through the real Nix; reads its log protocol and its database',
  git: 'clones, mirrors and reads commits through the real Git; which hosts and addresses are allowed',
  debian: "the machine's signed Debian archive: index, packages by hash, unpacking",
  npm: "the machine's npm configuration",
  runtime: 'runs containers under crun or runc, and reaches into their network',
  blobs: 'bytes by digest in files; uploads; files replaced whole',
  db: 'PostgreSQL and its embedded twin behind one interface; migrations',
  http: 'the listener: limits, errors, ranges',
  setup: 'finds what this machine has, installs what it lacks for Kiln alone',
  basis: 'the package set that comes with Kiln: its lock, and how its files get into the store',
  source: 'what was asked for → files, an expression and a content key; templates; lock files',
  build: 'records, queue, attempts, steps, logs, recovery after a crash',
  image: 'closure → root file system, layers, digests; checks before and at the start; exports',
  catalog: 'the embedded registry: repositories, manifests, tags, uploads, what is kept and what goes',
  cache: 'the binary cache',
  pipeline: 'the seven steps of a build, in their order',
  registry: 'OCI distribution: the endpoints, and the client for other registries',
  api: 'the functions of Kiln as one interface, over HTTP on both sides',
  app: 'puts it together in one process: opens, serves, shuts down',
  library: 'the public classes for programs (`src/library.ts` exports them)',
  cli: 'one file for each command, progress, error messages, completion, the demo',
};
