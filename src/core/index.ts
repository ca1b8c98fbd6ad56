/** The only entrance to the core: operations, types and the closed lists. */
export { type AuthLevel, authLevels, type Status, statuses } from './access.ts';
export type { Actor } from './actors.ts';
export { generateApiKey, revokeApiKey, storeApiKey } from './api-keys.ts';
export { listAudit, verifyAudit } from './audit.ts';
export { authenticate, authenticateEither } from './authenticate.ts';
export {
  type CallerFacts,
  compareCodePoints,
  type Credential,
  type DescribedContext,
  type Membership,
  type SessionContext,
  type UserFacts,
} from './context.ts';
export { createContextCache } from './contexts.ts';
export { createCounts, outcomes } from './counts.ts';
export { type Clock, type Core, nowSeconds, type Policy } from './core.ts';
export {
  createOrganization,
  removeMembership,
  rename,
  setMembership,
  setRolePermissions,
  setUserPermissions,
  setUserRoles,
} from './directory.ts';
export { describe } from './describe.ts';
export { CoreError, type ErrorCode, type ErrorDetail } from './errors.ts';
export { nameFailure } from './failures.ts';
export { createFirstAdministrator } from './first-start.ts';
export { type Hasher, startHasher } from './hash-lane.ts';
export { readLastTokenEnd, recordKeyRotation } from './key-rotation.ts';
export { withinLimits } from './limits.ts';
export { checkPassword, login, loginWithKey } from './login.ts';
export { createBlocklist, generatePassword } from './passwords.ts';
export type { PlaceChanges } from './places.ts';
export { createRateLimiter } from './rates.ts';
export { refreshSession } from './refresh.ts';
export { endEverySession, type RestorationCause, recogniseServer } from './restoration.ts';
export {
  endAll,
  endOne,
  endOwnSession,
  listSessions,
  listSessionsOf,
  maskSession,
  type OpenedSession,
  type SessionPolicy,
  type SessionSummary,
} from './sessions.ts';
export {
  createKeyRing,
  type FormerKey,
  type KeyRing,
  type SigningKey,
  type SigningKeys,
  toSigningKey,
} from './signing-keys.ts';
export { startSweeping, sweepOnce } from './sweep.ts';
export { createUseRecorder } from './uses.ts';
export { changePassword, resetUser, setPassword } from './user-passwords.ts';
export {
  changeRole,
  createUser,
  deleteUser,
  getUser,
  listUsers,
  moveUser,
  setStatus,
  updateProfile,
  writeUser,
} from './users.ts';
