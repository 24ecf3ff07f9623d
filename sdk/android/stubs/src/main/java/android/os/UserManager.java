// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.os;

public class UserManager {
    /** Whether the user unlocked the phone since it started: a test's to set. */
    public static volatile boolean unlocked = true;

    public boolean isUserUnlocked() {
        return unlocked;
    }
}
