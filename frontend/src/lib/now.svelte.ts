// The time as ages are shown, once a second, by the server's clock.
import { clock } from "../api/client";

class Now {
  ms: number = $state(Date.now());

  start(): () => void {
    const turn = () => {
      if (!document.hidden) this.ms = Date.now() + clock.behind;
    };
    const timer = setInterval(turn, 1000);
    document.addEventListener("visibilitychange", turn);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", turn);
    };
  }
}

export const now = new Now();
