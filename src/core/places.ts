import { mailboxBelongs, organizationExists, writePrimaryMembership } from '../store/directory.ts';
import type { Db } from '../store/users.ts';
import { isWide } from './access.ts';
import type { PresentActor } from './actors.ts';
import type { UserFacts } from './context.ts';
import { CoreError } from './errors.ts';

/** Where a user belongs: an organization, and a mailbox in it; null for none. */
export type Place = { readonly organizationId: number | null; readonly mailboxId: number | null };

/** A part that is absent stays; a new organization without a mailbox means no mailbox. */
export type PlaceChanges = { readonly organizationId?: number; readonly mailboxId?: number | null };

/** Below NetOps one acts in one's own network only. @throws CoreError `access_denied` */
export function requireOwnNetwork(actor: PresentActor, organizationId: number | null): void {
  if (actor === 'system' || isWide(actor)) return;
  if (organizationId === null || organizationId !== actor.organizationId) throw new CoreError('access_denied');
}

/** @throws CoreError `input_invalid` for `organizationId` or `mailboxId` */
export async function requirePlace(db: Db, place: Place): Promise<void> {
  const { organizationId, mailboxId } = place;
  if (organizationId !== null && !(await organizationExists(db, organizationId))) {
    throw new CoreError('input_invalid', { field: 'organizationId', reason: 'does not exist' });
  }
  if (mailboxId === null) return;
  if (organizationId === null || !(await mailboxBelongs(db, mailboxId, organizationId))) {
    throw new CoreError('input_invalid', { field: 'mailboxId', reason: 'does not exist in this network' });
  }
}

/** The place that a user would have after a change. @throws CoreError `access_denied`, `input_invalid` */
export async function judgePlace(
  trx: Db,
  actor: PresentActor,
  target: UserFacts,
  changes: PlaceChanges,
): Promise<Place> {
  const organizationId = changes.organizationId ?? target.organizationId;
  const moved = organizationId !== target.organizationId;
  if (moved) requireOwnNetwork(actor, organizationId);
  const mailboxId = changes.mailboxId !== undefined ? changes.mailboxId : moved ? null : target.mailboxId;
  const place = { organizationId, mailboxId };
  await requirePlace(trx, place);
  return place;
}

/** Makes a place the user's own, in the place of the former one; no organization changes nothing. */
export async function writePlace(trx: Db, userId: number, place: Place): Promise<void> {
  if (place.organizationId === null) return;
  const { organizationId, mailboxId } = place;
  await writePrimaryMembership(trx, { user_id: userId, organization_id: organizationId, mailbox_id: mailboxId });
}
