/** The user that an image runs as. Always numbers: clusters refuse a name, since they cannot tell whether it is root. */
export interface ImageUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
}

/** @param setting `uid` or `uid:gid`, checked by the settings' schema; default 1000:1000 */
export function imageUser(setting = '1000:1000'): ImageUser {
  const [uid = 1000, gid = uid] = setting.split(':').map(Number);
  if (uid === 0) return { uid, gid, name: 'root', home: '/root' };
  if (uid === 65_534) return { uid, gid, name: 'nobody', home: '/home/nobody' };
  return { uid, gid, name: 'app', home: '/home/app' };
}
