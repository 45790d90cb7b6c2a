/** Who one is here: an operator acts, a viewer reads. */

import { SESSION, type Session } from "./api";
import { useQuery } from "./query";

const NO_QUERY = new URLSearchParams();

/** Null while unknown. */
export function useSession(): Session | null {
  return useQuery<Session>(SESSION, NO_QUERY, 300_000).value;
}

/** While it is not known the buttons are there: the server has the last word. */
export function useCanAct(): boolean {
  const session = useSession();
  return session === null || session.role === "operator";
}
