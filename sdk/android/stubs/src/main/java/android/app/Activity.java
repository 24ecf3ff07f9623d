// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.app;

import android.content.ContextWrapper;
import android.os.Bundle;
import android.view.View;
import android.view.Window;

public class Activity extends ContextWrapper {
    public Activity() {
        super(null);
    }

    protected void onCreate(Bundle savedInstanceState) {}

    public final Application getApplication() {
        return new Application();
    }

    public Window getWindow() {
        return null;
    }

    public final void runOnUiThread(Runnable action) {
        action.run();
    }

    public void setContentView(View view) {}
}
