// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.os;

public final class Looper {
    private static final Looper MAIN = new Looper();

    /** The thread that a test calls its main thread; none by itself. */
    public static volatile Thread mainThread = null;

    private Looper() {}

    public static Looper getMainLooper() {
        return MAIN;
    }

    public static Looper myLooper() {
        return Thread.currentThread() == mainThread ? MAIN : null;
    }

    public Thread getThread() {
        return mainThread;
    }
}
