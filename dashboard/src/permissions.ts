/** Permissions of the session: operators act, viewers read. */

import { SESSION, type Session } from "./api";
import { useQuery } from "./query";

const NO_QUERY = new URLSearchParams();

/** Null while unknown. */
export function useSession(): Session | null {
  return useQuery<Session>(SESSION, NO_QUERY, 300_000).value;
}

/** Until the session is known, actions are shown; the server decides. */
export function useCanAct(): boolean {
  const session = useSession();
  return session === null || session.role === "operator";
}
