// The parts of Apache ECharts that pages use. To rebuild echarts.min.js, in an empty folder:
//   npm install --save-exact echarts@6.1.0 zrender@6.1.0 esbuild@0.28.1
//   npx esbuild entry.js --bundle --minify --format=iife --global-name=echarts --target=es2020 \
//     --legal-comments=none --banner:js="$(head -1 echarts.min.js)" --outfile=echarts.min.js
// where the banner is the first line of the file that is here.
import {init, use} from "echarts/core";
import {CustomChart, LineChart, ParallelChart, ScatterChart} from "echarts/charts";
import {GridComponent, ParallelComponent, TooltipComponent} from "echarts/components";
import {SVGRenderer} from "echarts/renderers";

use([
  CustomChart, LineChart, ParallelChart, ScatterChart,
  GridComponent, ParallelComponent, TooltipComponent, SVGRenderer,
]);
export {init};
