/** What somebody may do with repositories. */
export type RegistryAction = 'pull' | 'push' | 'delete';

export interface Permissions {
  /** Undefined: nobody in particular. */
  readonly name?: string;
  /** `*` as the repository asks for the list of all. */
  allows(repository: string, action: RegistryAction): boolean;
}
