import type { Reach } from '../store/users.ts';
import type { UserFacts } from './context.ts';

/** The ranked levels, highest first (source: the ECGrid session page). `NoChange` is an input word of that contract, never a level. */
export const authLevels = [
  'Root',
  'TechOps',
  'NetOps',
  'NetworkAdmin',
  'NetworkUser',
  'MailboxAdmin',
  'MailboxUser',
  'TPUser',
  'General',
] as const;
export type AuthLevel = (typeof authLevels)[number];

export const statuses = ['Development', 'Active', 'Preproduction', 'Suspended', 'Terminated'] as const;
export type Status = (typeof statuses)[number];

/** The statuses in which a user may sign in and be signed in. */
export const liveStatuses: readonly Status[] = ['Active', 'Development', 'Preproduction'];

/** Whether a user of this status may sign in and be signed in. */
export function isLiveStatus(status: string): boolean {
  return liveStatuses.some((live) => live === status);
}

/** The part of a user on which rights depend. */
export type Rights = Pick<UserFacts, 'id' | 'authLevel' | 'organizationId' | 'mailboxId'>;

/** True when `level` ranks at or above `other`. */
export function reaches(level: AuthLevel, other: AuthLevel): boolean {
  return authLevels.indexOf(level) <= authLevels.indexOf(other);
}

/** Root, TechOps and NetOps act in every network. */
export function isWide(caller: Rights): boolean {
  return reaches(caller.authLevel, 'NetOps');
}

/** READ of the ECGrid contract, 8.2. */
export function mayRead(caller: Rights, target: Rights): boolean {
  if (caller.id === target.id || isWide(caller)) return true;
  const sameNetwork = caller.organizationId !== null && caller.organizationId === target.organizationId;
  if (caller.authLevel === 'NetworkAdmin' || caller.authLevel === 'NetworkUser') return sameNetwork;
  const sameMailbox = caller.mailboxId !== null && caller.mailboxId === target.mailboxId;
  return caller.authLevel === 'MailboxAdmin' && sameNetwork && sameMailbox;
}

/** ADMIN of the ECGrid contract, 8.2: never over somebody of higher rank. */
export function mayAdminister(caller: Rights, target: Rights): boolean {
  if (!reaches(caller.authLevel, target.authLevel)) return false;
  if (isWide(caller)) return true;
  return (
    caller.authLevel === 'NetworkAdmin' &&
    caller.organizationId !== null &&
    caller.organizationId === target.organizationId
  );
}

/** False for callers who can administer nobody but themselves: they are refused before any look at the target. */
export function mayAdministerOthers(caller: Rights): boolean {
  return reaches(caller.authLevel, 'NetworkAdmin');
}

/** The users that `mayRead` admits, as a condition the store can list by. */
export function readableUsers(caller: Rights): Reach {
  if (isWide(caller)) return 'all';
  const self = { userId: caller.id };
  if (caller.organizationId === null) return self;
  const network = { ...self, organizationId: caller.organizationId };
  if (caller.authLevel === 'NetworkAdmin' || caller.authLevel === 'NetworkUser') return network;
  if (caller.authLevel === 'MailboxAdmin' && caller.mailboxId !== null) {
    return { ...network, mailboxId: caller.mailboxId };
  }
  return self;
}
