// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.os;

/** On the JVM, time is what a test sets. */
public final class SystemClock {
    /** Milliseconds since boot, sleep included: a test's to set. */
    public static volatile long elapsed = 0L;

    /** Milliseconds of them that the phone slept. */
    public static volatile long asleep = 0L;

    private SystemClock() {}

    public static long elapsedRealtime() {
        return elapsed;
    }

    public static long uptimeMillis() {
        return elapsed - asleep;
    }
}
