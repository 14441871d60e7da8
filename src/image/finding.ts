/** What the look at an image before its first run brings up. */
export interface Finding {
  /** `error`: the image cannot start. `warning`: a part of it will not work, or only in some places. */
  readonly severity: 'error' | 'warning';
  readonly code: FindingCode;
  readonly message: string;
  readonly hint: string;
  /** Path inside the image that the finding is about. */
  readonly path?: string;
}

export type FindingCode =
  | 'entry-point-missing' | 'not-executable' | 'not-a-program' | 'wrong-architecture' | 'interpreter-missing' | 'library-missing'
  | 'dangling-reference' | 'user-not-numeric' | 'working-directory-missing' | 'certificates-missing' | 'too-many-layers'
  | 'set-user-id'; // prettier-ignore
