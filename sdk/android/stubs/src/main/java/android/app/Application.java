// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.app;

import android.content.ContextWrapper;

public class Application extends ContextWrapper {
    public Application() {
        super(null);
    }

    public void onCreate() {}
}
